from types import SimpleNamespace

import pytest

from regdrop.errors import RecipeError
from regdrop.tasks.sections import ONE_OR_MORE, RATE, check_ranges


@pytest.mark.parametrize(("value", "limits"), [(0, ONE_OR_MORE), (1.0, RATE), (-0.1, RATE), (float("nan"), RATE)])
def test_a_number_out_of_range_is_named_with_its_section(value, limits):
    with pytest.raises(RecipeError, match=rf"model\.key is {value}, but must be .* --model\.key"):
        check_ranges("model", SimpleNamespace(key=value), key=limits)


@pytest.mark.parametrize("value", [None, 1, 7])
def test_what_is_in_range_or_left_open_passes(value):
    check_ranges("model", SimpleNamespace(key=value), key=ONE_OR_MORE)
