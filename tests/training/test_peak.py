"""The peak of memory against allocations of known size."""

import json

import pytest
import torch

from regdrop.training import peak
from regdrop.training.peak import PeakMemory
from regdrop.training.run import train
from tiny import tiny_recipe

MEGABYTE = 1 << 20
TOLD = PeakMemory().bytes is not None


def hold(megabytes):
    """Written to, for only then the system gives the memory."""
    return torch.ones(megabytes * MEGABYTE // 4)


@pytest.mark.skipif(not TOLD or torch.cuda.is_available(), reason="the system does not tell the peak of a process")
def test_the_peak_is_the_most_held_at_once_and_a_later_one_begins_anew():
    hold(300)
    first = PeakMemory()
    assert first.extra_bytes / MEGABYTE < 100
    one, two = hold(150), hold(100)
    del one, two
    assert first.extra_bytes / MEGABYTE == pytest.approx(250, abs=20)
    assert first.bytes > first.extra_bytes
    later = PeakMemory()
    hold(60)
    assert later.extra_bytes / MEGABYTE == pytest.approx(60, abs=20)
    assert later.bytes < first.bytes + 250 * MEGABYTE


def test_where_the_mark_cannot_be_set_back_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(peak, "PROCESS", tmp_path / "absent")
    memory = PeakMemory()
    assert (memory.bytes, memory.extra_bytes) == (None, None)


def test_a_run_notes_its_peak_and_a_session_without_a_step_has_none(tmp_path):
    summary = train(tiny_recipe(), tmp_path / "run", seed=0, progress=False)
    assert (summary.peak_bytes is not None) == TOLD
    if TOLD:
        assert summary.peak_bytes > 50 * MEGABYTE
    written = tmp_path / "run" / "summary.json"
    assert json.loads(written.read_text())["peak_bytes"] == summary.peak_bytes
    written.unlink()
    again = train(tiny_recipe(), tmp_path / "run", seed=0, resume=True, progress=False)
    assert (again.test, again.peak_bytes) == (summary.test, None)
