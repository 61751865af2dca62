"""The validation part chooses; the test part has no say."""

from comparisons import BASELINE, R_DROP, arm_result
from regdrop.studies.choice import choose
from regdrop.studies.jobs import Outcome
from regdrop.studies.result import ArmResult


def arm(name, validation, test=0.0):
    """An arm of given validation accuracies, one a seed; None is a failed run."""
    outcomes = [
        Outcome(seed, {}, "failed") if value is None else Outcome(seed, {"accuracy": test}, None, {"accuracy": value})
        for seed, value in enumerate(validation)
    ]
    return ArmResult(name, name, (), 1.0, 2, 10, 2.0, tuple(outcomes))


def test_the_best_mean_on_the_validation_part_is_chosen_whatever_the_test_says():
    choice = choose("accuracy", True, [arm("a", [0.7, 0.9], test=0.9), arm("b", [0.8, 0.9], test=0.1)])
    assert (choice.arm, choice.metric, choice.validation) == ("b", "accuracy", (0.8 + 0.9) / 2)
    assert "The validation part chooses b (accuracy (%) 85.00, mean of 2 seeds)" in choice.finding


def test_lower_may_be_better():
    assert choose("accuracy", False, [arm("a", [0.7]), arm("b", [0.8])]).arm == "a"


def test_an_arm_that_lost_a_seed_is_passed_over():
    assert choose("accuracy", True, [arm("a", [0.7, 0.7]), arm("b", [None, 0.9])]).arm == "a"


def test_of_equals_the_first_and_of_nothing_none():
    assert choose("accuracy", True, [arm("a", [0.7]), arm("b", [0.7])]).arm == "a"
    assert choose("accuracy", True, [arm("a", [None])]) is None


def test_test_values_and_validation_values_are_kept_apart():
    both = arm_result("r-drop", "R-Drop", 2, R_DROP)
    assert both.values("accuracy") != both.validation("accuracy")
    assert choose("accuracy", True, [arm_result("b", "b", 1, BASELINE), both]).arm == "r-drop"
