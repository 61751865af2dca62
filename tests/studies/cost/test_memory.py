"""Peak memory in a process of its own, against allocations of known size."""

import sys

import pytest

from regdrop.studies.cost.memory import peak_extra_bytes
from studies.cost.allocations import MEGABYTE, allocating


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak")
@pytest.mark.parametrize(("sizes", "most"), [((100, 60, 200), 260), ((100, 60, 10), 160)])
def test_the_peak_is_what_a_run_holds_at_once(sizes, most):
    assert peak_extra_bytes(allocating, *sizes) / MEGABYTE == pytest.approx(most, abs=8)
