"""What is said where the memory is short; `tests/reliability/test_memory.py` makes it so."""

import pytest
import torch

from regdrop.errors import MemoryShortError, UnsupportedError
from regdrop.training import memory
from regdrop.training.memory import advice, fitting, halved, memory_advice
from tiny import tiny_recipe

CPU = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
CUDA = "CUDA out of memory. Tried to allocate 2 GiB."
ONEDNN = "could not create a primitive"
SHORT = [MemoryError("bad_alloc"), RuntimeError(CPU), RuntimeError(ONEDNN), torch.OutOfMemoryError(CUDA)]


@pytest.mark.parametrize("error", SHORT, ids=["python", "cpu", "onednn", "cuda"])
def test_a_lack_of_memory_becomes_advice(error):
    with (
        pytest.raises(MemoryShortError, match=r"the memory is short .*; pass --train\.micro_batch 32") as caught,
        memory_advice(tiny_recipe()),
    ):
        raise error
    assert caught.value.exit_code == 7
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), UnsupportedError("no")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error), match=str(error)), memory_advice(tiny_recipe()):
        raise error


def test_the_advice_is_what_is_not_done_yet():
    assert "--rdrop.mode replay" in advice(tiny_recipe())
    assert "--rdrop.mode" not in advice(tiny_recipe(rdrop__mode="replay"))
    assert "--rdrop.mode" not in advice(tiny_recipe(rdrop__enabled="false"))
    assert "micro_batch" not in advice(tiny_recipe(train__micro_batch=1))
    assert "--train.eval_batch 4 " in advice(tiny_recipe(train__eval_batch=8))


HALVES = [(64, 64, 32), (60, 30, 15), (60, 15, 6), (7, 7, 1), (9, 1, None)]


@pytest.mark.parametrize(("batch", "micro", "smaller"), HALVES)
def test_half_as_much_at_once_still_makes_up_the_batch(batch, micro, smaller):
    settings = halved(tiny_recipe(train__batch_size=batch, train__micro_batch=micro).train)
    assert (settings and settings.micro_batch) == smaller
    if settings:
        assert settings.accumulation(1) == (smaller, batch // smaller)


def test_halving_goes_on_until_a_step_fits(tmp_path, monkeypatch, caplog):
    def step(recipe, splits, seed):
        if recipe.train.accumulation(1)[0] > 10:
            raise MemoryError

    monkeypatch.setattr(memory, "_make_one_step", step)
    found = fitting(tiny_recipe(), tmp_path / "run", 0, resume=False)
    assert (found.train.micro_batch, found.train.batch_size) == (8, 64)
    assert [text.split()[-1] for text in caplog.messages] == ["32", "16", "8"]


def test_nothing_fits(tmp_path, monkeypatch):
    def step(recipe, splits, seed):
        raise MemoryError

    monkeypatch.setattr(memory, "_make_one_step", step)
    with pytest.raises(MemoryShortError, match=r"not even one item fits in the memory; pass --rdrop\.mode replay"):
        fitting(tiny_recipe(), tmp_path / "run", 0, resume=False)


def test_several_processes_do_not_search(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UnsupportedError, match="tries with one process"):
        fitting(tiny_recipe(), tmp_path / "run", 0, resume=False)
