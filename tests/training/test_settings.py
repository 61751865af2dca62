import pytest

from regdrop.errors import RecipeError
from regdrop.training.settings import TrainSettings


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
