"""Each arm changes the one thing it is about."""

from dataclasses import replace

import pytest

from regdrop.studies.arms import BASELINE, R_DROP, compute, longer_baseline
from tiny import tiny_recipe


def test_arms_differ_in_r_drop_alone():
    recipe = tiny_recipe()
    plain, with_r_drop = BASELINE.change(recipe), R_DROP.change(recipe)
    assert (plain.rdrop.enabled, with_r_drop.rdrop.enabled) == (False, True)
    assert replace(plain, rdrop=with_r_drop.rdrop) == with_r_drop


@pytest.mark.parametrize(("passes", "every"), [(2, 1), (3, 1), (2, 3), (4, 2)])
def test_the_longer_baseline_makes_as_many_passes_as_r_drop(passes, every):
    recipe = tiny_recipe(rdrop__passes=passes, rdrop__every=every)
    times = compute(R_DROP.change(recipe)) / compute(BASELINE.change(recipe))
    longer = longer_baseline(times).change(recipe)
    steps = recipe.train.steps  # one in `every` makes all passes, the others one
    assert longer.train.steps == round(steps / every) * passes + (steps - round(steps / every))
    assert compute(longer) == pytest.approx(compute(R_DROP.change(recipe)))
    assert not longer.rdrop.enabled
    assert replace(longer, train=recipe.train) == BASELINE.change(recipe)


def test_the_recipe_decides_nothing_about_which_arm_has_r_drop():
    recipe = tiny_recipe()
    plain = replace(recipe, rdrop=replace(recipe.rdrop, enabled=False))
    assert R_DROP.change(plain) == R_DROP.change(recipe)
