"""Evidence on one task: the validation part chooses alpha with one seed, then all arms run, each once."""

from dataclasses import replace

import pytest

from regdrop.errors import InputError, RDropError
from regdrop.studies import evidence
from regdrop.studies.evidence import gather_evidence
from regdrop.studies.options import Options
from tiny import tiny_recipe

SMALL = Options(seeds=2, grid=(0.5, 8.0), progress=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("evidence")
    return gather_evidence(tiny_recipe(), out, SMALL), out


def test_the_validation_part_chooses_alpha_with_one_seed(found):
    study, _ = found
    first = {arm.name: arm.outcomes[0].validation["accuracy"] for arm in study.arms if arm.name.startswith("alpha-")}
    assert first.keys() == {"alpha-0.5", "alpha-8"}
    assert first[study.choice.arm] == max(first.values())
    assert study.alpha == study.arm(study.choice.arm).alpha


def test_the_chosen_alpha_has_every_seed_and_what_was_tried_has_one(found):
    study, out = found
    seeds = {arm.name: [outcome.seed for outcome in arm.outcomes] for arm in study.arms}
    (tried,) = {"alpha-0.5", "alpha-8"} - {study.choice.arm}
    assert seeds.pop(tried) == [0]
    assert set(map(tuple, seeds.values())) == {(0, 1)}
    assert len(list(out.rglob("summary.json"))) == 1 + 2 * len(seeds)
    assert tried not in {contrast.treatment for contrast in study.contrasts}


def test_r_drop_is_compared_with_dropout_and_with_dropout_of_its_own_compute(found):
    study, _ = found
    references = {one.reference for one in study.contrasts if one.treatment == study.choice.arm}
    assert references == {"baseline", "baseline-x2"}
    compute = {arm.name: arm.compute for arm in study.arms}
    assert compute["baseline-x2"] == compute["wide-batch"] == compute[study.choice.arm] == 2 * compute["baseline"]
    assert compute[f"twins-{study.alpha:g}"] == 1.25


def test_what_is_done_is_not_done_again(found, monkeypatch):
    study, out = found
    times = {path: path.stat().st_mtime_ns for path in out.rglob("summary.json")}
    again = gather_evidence(tiny_recipe(), out, SMALL)
    assert again.arms == study.arms
    assert {path: path.stat().st_mtime_ns for path in out.rglob("summary.json")} == times


def test_no_choice_where_every_trial_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "choose", lambda *_: None)
    with pytest.raises(RDropError, match="no alpha could be tried"):
        gather_evidence(tiny_recipe(), tmp_path, SMALL)


def test_equal_compute_is_refused_where_it_adds_nothing(tmp_path):
    with pytest.raises(InputError, match="--equal-compute: the study evidence"):
        gather_evidence(tiny_recipe(), tmp_path / "out", replace(SMALL, equal_compute=True))
    assert not (tmp_path / "out").exists()


def test_label_smoothing_is_an_arm_where_it_is_usual_and_dropped_where_the_recipe_has_it():
    names = [arm.name for arm in evidence.EVIDENCE.arms(tiny_recipe(), (1.0,))]
    assert "label-smoothing" in names
    smoothed = tiny_recipe(rdrop__label_smoothing=0.1)
    arms = {arm.name: arm.change(smoothed) for arm in evidence.EVIDENCE.arms(smoothed, (1.0,))}
    assert arms["no-smoothing"].rdrop.label_smoothing == 0 < arms["baseline"].rdrop.label_smoothing
    assert "label-smoothing" not in arms
