import json

import pytest

from regdrop.errors import CheckpointError, RecipeError
from regdrop.training.folder import MANIFEST, RunFolder, find_weights
from tiny import tiny_recipe


def checkpoint(folder, step, *, sealed=True):
    place = folder.checkpoint(step)
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"weights" * step)
    (place / "optimizer.pt").write_bytes(b"state" * step)
    if sealed:
        folder.seal(step)
    return place


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_the_newest_sealed_checkpoint_counts_and_later_ones_go(folder, caplog):
    assert folder.last_checkpoint() == 0
    checkpoint(folder, 9)
    checkpoint(folder, 10)
    unfinished = checkpoint(folder, 11, sealed=False)
    assert folder.last_checkpoint() == 10
    assert not caplog.records  # its writer was interrupted, nothing is wrong
    leftover = folder.path / ".records.0123abcd.jsonl"
    leftover.touch()
    folder.begin(tiny_recipe(), 0, step=10)
    folder.lock.release()
    assert not leftover.exists()
    assert not unfinished.exists()
    assert folder.checkpoint(9).exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "manifest"])
def test_a_damaged_checkpoint_is_passed_over(folder, damage, caplog):
    checkpoint(folder, 1)
    newest = checkpoint(folder, 2)
    file = newest / "optimizer.pt"
    if damage == "flip":
        file.write_bytes(b"S" + file.read_bytes()[1:])
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "missing":
        file.unlink()
    else:
        (newest / MANIFEST).write_text("{")
    assert folder.last_checkpoint() == 1
    assert caplog.messages[0].startswith(f"{newest} is damaged (")
    assert caplog.messages[0].endswith("); the one before it is used")


def test_what_a_signal_saved_goes_once_an_evaluation_has_saved(folder):
    for step in (2, 3, 4):
        checkpoint(folder, step)
    folder.drop_extra(4, every=2)
    assert [path.name for path in sorted(folder.path.iterdir())] == ["checkpoint-2", "checkpoint-4"]


def test_a_manifest_lists_every_file_but_itself(folder):
    place = checkpoint(folder, 3)
    folder.seal(3)
    assert sorted(json.loads((place / MANIFEST).read_text())) == ["model.safetensors", "optimizer.pt"]


def test_a_folder_is_for_one_recipe_and_seed(folder):
    assert folder.finished(tiny_recipe(), 0, resume=False) is None
    assert not folder.path.exists()
    folder.begin(tiny_recipe(), 0)
    folder.lock.release()
    assert folder.finished(tiny_recipe(), 0, resume=True) is None
    with pytest.raises(RecipeError, match=r"not empty; pass --resume .* or another --out"):
        folder.finished(tiny_recipe(), 0, resume=False)
    for recipe, seed in ((tiny_recipe(), 1), (tiny_recipe(rdrop__alpha=2), 0)):
        with pytest.raises(RecipeError, match="differs from this recipe or seed"):
            folder.finished(recipe, seed, resume=True)


def test_a_run_begun_before_a_setting_was_there_is_continued(folder):
    folder.begin(tiny_recipe(), 0)
    folder.lock.release()
    whole = folder.recipe.read_text()
    folder.recipe.write_text(whole.replace("  on_nonfinite: stop\n", ""))
    assert folder.recipe.read_text() != whole
    assert folder.finished(tiny_recipe(), 0, resume=True) is None
    with pytest.raises(RecipeError, match="differs from this recipe or seed"):
        folder.finished(tiny_recipe(train__on_nonfinite="skip"), 0, resume=True)
    folder.begin(tiny_recipe(), 0)
    folder.lock.release()
    assert folder.recipe.read_text() == whole


@pytest.mark.parametrize("damage", ["[", "task: image_classification\nelsewhere: {}", ""])
def test_a_folder_whose_recipe_is_damaged_is_another_run_s(folder, damage):
    folder.begin(tiny_recipe(), 0)
    folder.lock.release()
    folder.recipe.write_text(f"# regdrop train recipe.yaml --seed 0\n{damage}")
    with pytest.raises(RecipeError, match="differs from this recipe or seed"):
        folder.finished(tiny_recipe(), 0, resume=True)


def test_a_folder_of_something_else_is_left_alone(folder):
    folder.path.mkdir()
    (folder.path / "thesis.tex").write_text("precious")
    with pytest.raises(RecipeError, match="is not the folder of a run"):
        folder.finished(tiny_recipe(), 0, resume=True)
    assert [path.name for path in folder.path.iterdir()] == ["thesis.tex"]


def test_weights_are_found_in_a_run_a_best_folder_a_checkpoint_or_a_file(folder):
    inside = checkpoint(folder, 1) / "model.safetensors"
    assert find_weights(inside) == find_weights(inside.parent) == inside
    with pytest.raises(CheckpointError, match="no weights in"):
        find_weights(folder.path)
    folder.best.parent.mkdir()
    folder.best.write_bytes(b"best")
    assert find_weights(folder.path) == find_weights(folder.best.parent) == folder.best
    with pytest.raises(CheckpointError, match="no weights in"):
        find_weights(folder.path / "absent")
