"""A recipe's model comes with the weights and the data that were asked for."""

import pytest
import torch
from safetensors.torch import load_file

from regdrop.errors import CheckpointError, InputError
from regdrop.training import run
from regdrop.training.subjects.find import Request, find_subject
from tiny import SETTINGS, tiny_recipe

TINY = tuple(word for key, value in SETTINGS.items() for word in (f"--{key}", str(value)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("subjects") / "run"
    run.train(tiny_recipe(), out, seed=1, progress=False)
    return out


def test_a_recipe_starts_as_training_does():
    subject = find_subject(Request("digits_vit", settings=TINY, batches=2))
    assert not subject.model.vit.head.weight.any()
    assert subject.name == "digits_vit, as it starts"
    assert [len(batch["labels"]) for batch in subject.batches] == [256, 256]
    assert subject.count == 2


def test_the_parts_of_the_data():
    sizes = {"train": 300, "validation": 597, "test": 900}
    for split, size in sizes.items():
        subject = find_subject(Request("digits_vit", settings=TINY, split=split))
        assert sum(len(batch["labels"]) for batch in subject.batches) == size


@pytest.mark.parametrize("place", ["", "best/model.safetensors", "checkpoint-3"])
def test_a_run_and_its_checkpoints_bring_their_recipe(folder, place):
    subject = find_subject(Request(str(folder / place)))
    weights = folder / place if place else folder / "best"
    weights = weights if weights.suffix else weights / "model.safetensors"
    for name, tensor in load_file(weights).items():
        assert torch.equal(subject.model.state_dict()[name], tensor)
    assert str(weights) in subject.name


def test_a_recipe_is_meant_where_the_working_folder_is_a_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_subject(Request("digits_vit", settings=TINY)).name == "digits_vit, as it starts"
    assert find_subject(Request("recipe.yaml")).name == "digits_vit, as it starts"


def test_other_weights_for_a_recipe(folder):
    weights = folder / "best" / "model.safetensors"
    subject = find_subject(Request("digits_vit", settings=TINY, weights=weights))
    assert torch.equal(subject.model.state_dict()["vit.cls_token"], load_file(weights)["vit.cls_token"])


def test_what_is_not_there_is_refused(folder):
    with pytest.raises(CheckpointError, match="no weights in"):
        find_subject(Request("digits_vit", weights=folder / "absent.safetensors"))
    with pytest.raises(InputError, match="--batches 1 or more"):
        find_subject(Request("digits_vit", batches=0))
