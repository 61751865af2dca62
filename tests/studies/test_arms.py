"""Each arm changes the one thing it is about."""

from dataclasses import replace

from regdrop.studies.arms import BASELINE, LONG_BASELINE, R_DROP
from tiny import tiny_recipe


def test_arms_differ_in_r_drop_alone():
    recipe = tiny_recipe()
    plain, with_r_drop = BASELINE.change(recipe), R_DROP.change(recipe)
    assert (plain.rdrop.enabled, with_r_drop.rdrop.enabled) == (False, True)
    assert replace(plain, rdrop=with_r_drop.rdrop) == with_r_drop


def test_the_longer_baseline_makes_as_many_passes_as_r_drop():
    recipe = tiny_recipe(rdrop__passes=3)
    longer = LONG_BASELINE.change(recipe)
    assert longer.train.steps * 1 == R_DROP.change(recipe).train.steps * recipe.rdrop.passes
    assert not longer.rdrop.enabled
    assert replace(longer, train=recipe.train) == BASELINE.change(recipe)


def test_the_recipe_decides_nothing_about_which_arm_has_r_drop():
    recipe = tiny_recipe()
    plain = replace(recipe, rdrop=replace(recipe.rdrop, enabled=False))
    assert R_DROP.change(plain) == R_DROP.change(recipe)
