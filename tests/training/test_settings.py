import pytest

from regdrop.errors import RecipeError
from regdrop.training.recipe import load_recipe
from regdrop.training.settings import RDropSettings, TrainSettings


def settings(**changes):
    return TrainSettings(**{"steps": 1, "batch_size": 512, "learning_rate": 0.1, "eval_every": 1} | changes)


@pytest.mark.parametrize(
    ("micro_batch", "processes", "wanted"),
    [(None, 1, (512, 1)), (None, 4, (128, 1)), (32, 1, (32, 16)), (32, 2, (32, 8)), (512, 1, (512, 1))],
)
def test_micro_batches_make_up_the_batch(micro_batch, processes, wanted):
    micro, rounds = settings(micro_batch=micro_batch).accumulation(processes)
    assert (micro, rounds) == wanted
    assert micro * rounds * processes == 512


@pytest.mark.parametrize(("micro_batch", "processes"), [(48, 1), (1024, 1), (256, 3), (None, 5)])
def test_a_batch_that_cannot_be_made_up_is_refused(micro_batch, processes):
    with pytest.raises(RecipeError, match="batch_size 512 is not a multiple"):
        settings(micro_batch=micro_batch).accumulation(processes)


@pytest.mark.parametrize(("processes", "rounds"), [(1, 64), (4, 16), (8, 8)])
def test_a_step_of_so_many_tokens(processes, rounds):
    assert settings(batch_size=65_536, max_tokens=1024).accumulation(processes) == (1024, rounds)


def test_tokens_that_cannot_be_made_up_are_refused_by_their_name():
    with pytest.raises(RecipeError, match=r"batch_size 512 is not a multiple of train.max_tokens 100 x 1 processes"):
        settings(max_tokens=100).accumulation(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"micro_batch": 8, "max_tokens": 64}, "micro_batch 8 counts items and train.max_tokens 64 tokens; leave one"),
        ({"max_tokens": 0}, "train.max_tokens is 0, but must be at least 1"),
        ({"adam_beta2": 1.0}, "train.adam_beta2 is 1.0, but must be between 0 and"),
        ({"adam_epsilon": -1e-6}, "train.adam_epsilon is -1e-06, but must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        settings(**changes)


def test_rates_are_written_with_commas_between():
    recipe = load_recipe("digits_vit", ["--rdrop.pass_dropout", "0.1, 0.3", "--rdrop.penalty=logit_mse"])
    options = recipe.rdrop.options()
    assert (options["pass_dropout"], options["penalty"]) == ((0.1, 0.3), "logit_mse")
    assert load_recipe("digits_vit").rdrop.options()["pass_dropout"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pass_dropout": "0.1;0.3"}, r"rdrop.pass_dropout is '0\.1;0\.3', but must be numbers with commas between"),
        ({"pass_dropout": ""}, "rdrop.pass_dropout is '', but must be"),
        ({"pass_dropout": "0.1,1.5"}, r"section rdrop: pass_dropout=\(0\.1, 1\.5\): a dropout rate is at least 0"),
        ({"pass_dropout": "0.1"}, r"section rdrop: pass_dropout=\(0\.1,\) has 1 rates, but passes=2"),
        ({"penalty": "full_kl", "twin_fraction": 0.5}, "section rdrop: twin_fraction=0.5 does not go with"),
    ],
)
def test_rates_and_penalties_that_cannot_be_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        RDropSettings(**changes)
