from regdrop.studies.cost import timing
from regdrop.studies.cost.timing import Case, interleaved


def test_every_case_once_a_round_each_run_prepared():
    done = []

    def case(name):
        return Case(name, lambda: done.append(name), lambda: done.append(f"before {name}"))

    rounds = []
    samples = interleaved([case("a"), case("b")], 3, sample_seconds=0.0, between=lambda: rounds.append(len(done)))
    assert {name: len(times) for name, times in samples.items()} == {"a": 3, "b": 3}
    assert all(seconds >= 0 for times in samples.values() for seconds in times)
    assert done[-4:] == ["before a", "a", "before b", "b"]
    assert len(rounds) == 3
    assert rounds[1] - rounds[0] == 4


def test_a_sample_of_several_runs_begins_with_one_that_is_not_timed(monkeypatch):
    """By a clock that only the runs move on, every first of a sample by ten."""
    lasts, now = iter([1, 1, 1, *[10, 1, 1, 1, 1] * 2]), [0.0]

    def run():
        now[0] += next(lasts)

    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])
    assert interleaved([Case("a", run)], 2, sample_seconds=4.0) == {"a": [1.0, 1.0]}
    assert next(lasts, None) is None
