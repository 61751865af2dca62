"""Check annotated shapes of the loss and the passes at run time, in tests only; begin each test with the same seed."""

import pytest
import torch
from jaxtyping import install_import_hook

# The numeric tower lets an int stand where a float is asked for, as type checkers do.
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["regdrop.losses", "regdrop.passes"], _CHECKER)


@pytest.fixture(autouse=True)
def _seed():
    """A test's random numbers must not depend on which tests ran before it."""
    torch.manual_seed(0)
