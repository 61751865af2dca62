"""A searched alpha: chosen on validation, continued where it stopped, one line where optuna is missing."""

import sys

import pytest

from regdrop.errors import InputError, MissingExtraError, RecipeError
from regdrop.studies import search
from regdrop.studies.options import Options
from regdrop.studies.search import search_alpha
from tiny import tiny_recipe

QUICK = Options(seeds=1, progress=False)


def optuna():
    return pytest.importorskip("optuna", reason="optuna, the extra 'sweep', is not installed")


def numbers(study):
    return [(arm.name, [(one.metrics["loss"], one.validation) for one in arm.outcomes]) for arm in study.arms]


def test_the_validation_part_decides_where_to_look_and_what_to_take(tmp_path):
    optuna()
    study = search_alpha(tiny_recipe(), tmp_path, QUICK, trials=3)
    assert study.arms[0].name == "baseline"
    assert "alpha-4" in [arm.name for arm in study.arms]
    assert len(study.arms) == 4
    values = {arm.name: arm.outcomes[0].validation["accuracy"] for arm in study.arms}
    assert values[study.choice.arm] == max(values.values())
    assert study.command == "regdrop study search recipe.yaml --trials 3 --seeds 1"


def test_an_interrupted_search_continues_as_it_would_have_gone(tmp_path, monkeypatch):
    optuna()
    whole = search_alpha(tiny_recipe(), tmp_path / "whole", QUICK, trials=4)
    value, calls = search._value, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return value(*arguments)

    monkeypatch.setattr(search, "_value", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search_alpha(tiny_recipe(), tmp_path / "cut", QUICK, trials=4)
    monkeypatch.undo()
    assert numbers(search_alpha(tiny_recipe(), tmp_path / "cut", QUICK, trials=4)) == numbers(whole)


def test_a_search_that_is_done_is_read_and_more_trials_go_on(tmp_path):
    optuna()
    first = search_alpha(tiny_recipe(), tmp_path, QUICK, trials=2)
    assert numbers(search_alpha(tiny_recipe(), tmp_path, QUICK, trials=2)) == numbers(first)
    assert len(search_alpha(tiny_recipe(), tmp_path, QUICK, trials=3).arms) == 4


def test_an_alpha_whose_run_fails_is_a_failed_trial_and_is_told(tmp_path):
    optuna()
    with pytest.raises(Exception, match="no seed finished in two arms, first: baseline, seed 0: failed"):
        search_alpha(tiny_recipe(train__learning_rate=1e30), tmp_path, QUICK, trials=2)


def test_a_folder_of_another_recipe_is_refused_before_anything_is_tried(tmp_path):
    optuna()
    (tmp_path / "recipe.yaml").write_text(tiny_recipe(train__steps=7).to_yaml())
    with pytest.raises(RecipeError, match="differs from this recipe"):
        search_alpha(tiny_recipe(), tmp_path, QUICK, trials=2)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_grid_or_no_trial_is_refused(tmp_path):
    with pytest.raises(InputError, match="a search finds its alphas itself"):
        search_alpha(tiny_recipe(), tmp_path, Options(grid=(1.0,)))
    with pytest.raises(InputError, match="--trials 0: a search needs at least 1"):
        search_alpha(tiny_recipe(), tmp_path, QUICK, trials=0)


def test_without_optuna_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"optuna is not installed; run: pip install 'regdrop\[sweep\]'"):
        search_alpha(tiny_recipe(), tmp_path, QUICK)
    assert not list(tmp_path.iterdir())
