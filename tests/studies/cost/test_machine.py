import torch

from regdrop.studies.cost.machine import Watch, describe


def test_a_description_says_what_a_number_was_measured_on():
    found = describe()
    assert found["torch"] == torch.__version__
    assert found["cores"] >= 1
    assert len(str(found["date"])) == 10


def test_a_slow_moment_is_noticed():
    watch = Watch()
    watch.probe()
    watch.probes += [10 * watch.probes[0]]
    assert "LOADED MACHINE" in watch.notice()
    assert f"{watch.probes[0] * 1e3:.1f} to {watch.probes[1] * 1e3:.1f} ms" in watch.notice()


def test_what_runs_while_nothing_is_timed_does_not_count():
    watch = Watch()
    watch.probe()
    watch.rest()
    watch.probe()
    assert watch.watched == 0.0
    watch.probe()
    assert watch.watched > 0.0
