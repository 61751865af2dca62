"""Every study has distinct arms that are valid recipes, and each changes what its label says."""

from dataclasses import fields

import pytest

from regdrop.errors import InputError
from regdrop.studies.arms import BASELINE, compute
from regdrop.studies.catalogue import STUDIES, find_study
from regdrop.training.recipe import load_recipe
from tiny import tiny_recipe


def arms_of(name, grid=None, **changes):
    """The arms of a study as recipes, by name."""
    study, recipe = find_study(name), tiny_recipe(**changes)
    return {arm.name: arm.change(recipe) for arm in study.arms(recipe, study.grid if grid is None else grid)}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_arms_have_distinct_names_labels_recipes_and_points(study, tmp_path):
    recipe = tiny_recipe()
    arms = study.arms(recipe, study.grid)
    changed = [arm.change(recipe) for arm in arms]
    assert len({arm.name for arm in arms}) == len({arm.label for arm in arms}) == len(arms) > 1
    assert all(one not in changed[:place] for place, one in enumerate(changed))
    assert study.reference in [arm.name for arm in arms]
    assert {len(arm.point) for arm in arms} <= {0, len(study.factors)}
    assert bool(study.factors) == any(arm.point for arm in arms)
    for one in changed:
        (tmp_path / "recipe.yaml").write_text(one.to_yaml())
        assert load_recipe(tmp_path) == one


def test_alpha_sweeps_the_grid_and_the_recipes_own():
    arms = arms_of("alpha", rdrop__alpha=2)
    assert [one.rdrop.alpha for one in arms.values() if one.rdrop.enabled] == [0, 0.3, 1, 2, 3, 10]
    assert list(arms_of("alpha", grid=(5, 2.5), rdrop__alpha=5)) == ["baseline", "alpha-2.5", "alpha-5"]


@pytest.mark.parametrize(
    ("name", "key", "values"), [("every", "every", [1, 2, 5, 10]), ("passes", "passes", [2, 3, 4])]
)
def test_counting_sweeps_set_their_key(name, key, values):
    assert [getattr(one.rdrop, key) for one in arms_of(name).values() if one.rdrop.enabled] == values
    with pytest.raises(InputError, match=r"--grid 2.5: rdrop.\w+ counts"):
        arms_of(name, grid=(2.5,))


def test_the_doubled_batch_costs_as_much_as_r_drop():
    arms = arms_of("double-batch", rdrop__passes=3)
    wide, r_drop, twice = arms["wide-batch"], arms["r-drop"], arms["alpha-0"]
    assert compute(wide) == compute(r_drop) == compute(twice) == 3 * compute(arms["baseline"])
    assert not wide.rdrop.enabled
    assert twice.rdrop.alpha == 0 < r_drop.rdrop.alpha


def test_baselines_change_one_thing_each():
    arms = arms_of("baselines", model__head_dropout=0.3)
    plain = BASELINE.change(tiny_recipe(model__head_dropout=0.3))
    assert arms["baseline"] == plain
    quiet = arms["no-dropout"].model
    assert not any(getattr(quiet, field.name) for field in fields(quiet) if "drop" in field.name)
    assert arms["label-smoothing"].rdrop.label_smoothing == 0.1
    assert arms["weight-decay"].train.weight_decay == pytest.approx(10 * plain.train.weight_decay)
    several = arms["multi-sample"]
    assert (several.rdrop.mode, several.rdrop.alpha, several.model.head_dropout) == ("head", 0, 0.3)
    assert arms_of("baselines")["multi-sample"].model.head_dropout == tiny_recipe().model.dropout
    assert [arms[name].rdrop.penalty for name in ("logit-mse", "full-kl", "r-drop")] == ["logit_mse", "full_kl", "kl"]
    assert [name for name, one in arms.items() if one.rdrop.enabled] == [
        "multi-sample",
        "logit-mse",
        "full-kl",
        "r-drop",
    ]


def test_dropout_pairs_rates_without_order_and_leaves_out_no_noise_at_all():
    arms = arms_of("dropout", grid=(0.3, 0.0, 0.1))
    rates = [one.rdrop.pass_dropout for one in arms.values() if one.rdrop.enabled]
    assert rates == ["0,0.1", "0,0.3", "0.1,0.1", "0.1,0.3", "0.3,0.3"]
    study = find_study("dropout")
    points = [arm.point for arm in study.arms(tiny_recipe(), (0.1, 0.3))]
    assert points == [(), (0.1, 0.1), (0.1, 0.3), (0.3, 0.3)]


def test_the_cheaper_forms_cost_what_the_cost_study_pairs_them_with():
    arms = arms_of("cost")
    base = compute(arms["baseline"])
    assert [compute(one) / base for one in arms.values()] == [1, 2, 1.25, 1.25, 1]
    assert compute(arms_of("baselines")["multi-sample"]) == compute(arms_of("baselines")["baseline"])


def test_the_kl_is_watched_on_both_sides():
    assert {one.train.consistency_items for one in arms_of("kl").values()} == {256}


def test_an_unknown_study_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'alpha'"):
        find_study("alhpa")
