from regdrop.studies.cost.advice import advise
from regdrop.studies.cost.costs import Cost

PLAIN, CONCAT = Cost("plain", "", True, 1.0, 100), Cost("concat", "", True, 2.0, 200)
SHARED, HALVED = Cost("shared", "S", True, 1.4, 150), Cost("halved", "H", True, 2.0, 101)
REPLAY, TWINS = Cost("replay", "R", True, 2.5, 100), Cost("twins", "T", False, 1.25, 130)
SEQUENTIAL = Cost("sequential", "Q", True, 1.97, 200)


def test_concatenated_passes_unless_another_way_saves_much():
    assert advise([PLAIN, CONCAT, SEQUENTIAL]) == [
        "Take concat: exact R-Drop at 2.00 x the time and 2.00 x the memory of a plain step."
    ]
    assert advise([PLAIN, CONCAT, SHARED])[0].startswith("Take shared (S): exact R-Drop at 1.40 x the time")


def test_the_quickest_of_the_lean_ways():
    lines = advise([PLAIN, CONCAT, REPLAY, HALVED])
    assert (
        lines[1] == "If memory is short, take halved (H): the same gradient at 2.00 x the time and 1.01 x the memory."
    )


def test_approximations_are_named_as_such_cheapest_first():
    head = Cost("head", "D", False, 1.05, 101)
    lines = advise([PLAIN, CONCAT, TWINS, head])
    assert [line.split(":")[0] for line in lines] == ["Take concat", "Approximate", "Approximate"]
    assert "head (D) at 1.05 x the time" in lines[1]


def test_without_memory_or_without_any_way():
    lines = advise([Cost("plain", "", True, 1.0), Cost("concat", "", True, 2.0), Cost("replay", "R", True, 2.5)])
    assert lines == ["Take concat: exact R-Drop at 2.00 x the time of a plain step."]
    assert "refused" in advise([PLAIN, Cost("concat", "", True, refusal="no dropout")])[0]
