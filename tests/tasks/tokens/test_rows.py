import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regdrop.tasks.tokens.rows import TokenRows

ROWS = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=9), max_size=9)


@given(ROWS)
def test_rows_come_back_as_they_went_in(lists):
    rows = TokenRows.of(lists)
    assert [rows[i].tolist() for i in range(len(rows))] == lists
    assert rows.lengths.tolist() == [len(each) for each in lists]


def test_a_generator_is_packed_in_four_bytes_a_token():
    rows = TokenRows.of(range(i) for i in range(4))
    assert rows.values.dtype == np.int32
    assert rows.values.tolist() == [0, 0, 1, 0, 1, 2]
