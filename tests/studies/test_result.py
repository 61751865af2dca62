"""Contrasts pair what both sides finished; failures are told, not averaged away."""

import json

import numpy as np
import pytest

from comparisons import BASELINE, R_DROP, arm_result, comparison_of, study_of
from regdrop.errors import DataError
from regdrop.studies.result import Choice, read_study


def test_a_failed_run_leaves_its_pair_out_and_is_told():
    comparison = comparison_of([BASELINE[0], "NonFiniteError: loss is nan at step 7", *BASELINE[2:]], R_DROP)
    accuracy = comparison.contrasts[0].difference
    assert accuracy.seeds == (0, 2, 3)
    pairs = [(R_DROP[seed]["accuracy"], BASELINE[seed]["accuracy"]) for seed in (0, 2, 3)]
    assert accuracy.mean == pytest.approx(np.mean([treatment - reference for treatment, reference in pairs]))
    assert "3 seeds" in comparison.contrasts[0].finding
    assert comparison.failures == (
        "baseline, seed 1: failed, left out of every mean and pair (NonFiniteError: loss is nan at step 7)",
    )


def test_arms_without_a_common_seed_have_no_contrast():
    comparison = comparison_of([BASELINE[0], "failed"], ["failed", R_DROP[1]])
    assert comparison.contrasts == ()
    assert comparison.costs == ()
    assert len(comparison.failures) == 2


def test_the_cost_is_the_ratio_of_the_mean_seconds():
    baseline, r_drop = (np.mean([run["seconds"] for run in runs]) for runs in (BASELINE, R_DROP))
    (sentence,) = comparison_of(BASELINE, R_DROP).costs
    assert sentence == (
        f"R-Drop took {r_drop / baseline:.2f} times the training time of baseline "
        f"({r_drop:.1f} s against {baseline:.1f} s a run)."
    )


def test_json_holds_every_outcome_and_contrast():
    comparison = comparison_of([*BASELINE[:3], "failed"], R_DROP)
    written = json.loads(comparison.to_json())
    outcomes = written["arms"][0]["outcomes"]
    assert [outcome["metrics"] for outcome in outcomes] == [*BASELINE[:3], {}]
    assert outcomes[3]["failure"] == "failed"
    assert written["contrasts"][0]["difference"]["mean"] == comparison.contrasts[0].difference.mean
    assert written["contrasts"][0]["finding"] == comparison.contrasts[0].finding


def swept():
    arms = [arm_result(f"alpha-{index}", f"alpha = {index}", 2, R_DROP, (float(index),)) for index in (1, 2)]
    first = arm_result("baseline", "baseline", 1, [*BASELINE[:3], "failed"])
    return study_of(
        first, *arms, study="alpha", factors=("alpha",), choice=Choice("alpha-1", "accuracy", 0.9, "Words.")
    )


def test_the_alpha_to_take_is_the_chosen_one():
    assert comparison_of(BASELINE, R_DROP).alpha == 0.5
    arms = arm_result("baseline", "baseline", 1, BASELINE), arm_result("alpha-1", "alpha = 1", 2, R_DROP, (1.0,))
    for name, alpha in (("alpha-1", 0.5), ("baseline", None)):
        assert study_of(*arms, factors=("alpha",), choice=Choice(name, "accuracy", 0.9, "Words.")).alpha == alpha
    assert study_of(arms[0]).alpha is None


@pytest.mark.parametrize("study", [swept(), comparison_of(BASELINE, R_DROP)], ids=["sweep", "pair"])
def test_a_study_is_read_back_as_it_was_written(tmp_path, study):
    (tmp_path / "study.json").write_text(study.to_json())
    assert read_study(tmp_path) == study


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda study: study.pop("arms"), "has no 'arms'"),
        (lambda study: study.update(arms={}), "expected a tuple but got"),
        (lambda study: study["arms"][0].update(steps="many"), r"arms\[0\]: steps: expected a int but got 'many'"),
        (lambda study: study["arms"][1]["outcomes"][0]["metrics"].update(loss=None), r"metrics.loss: expected"),
        (lambda study: study.update(reference="nobody"), "the arm 'nobody', which it does not have"),
        (lambda study: study["contrasts"][0].update(treatment="nobody"), "the arm 'nobody'"),
    ],
)
def test_a_damaged_study_is_refused_by_file_and_key(tmp_path, change, message):
    values = json.loads(comparison_of(BASELINE, R_DROP).to_json())
    change(values)
    (tmp_path / "study.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=message) as caught:
        read_study(tmp_path)
    assert str(tmp_path / "study.json") in str(caught.value)


def test_a_missing_study_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected the folder of a finished study"):
        read_study(tmp_path)
