"""How the output layer's loss is computed in a test."""

import pytest

from regdrop.losses import head


@pytest.fixture(params=["eager", "native"])
def backend(request):
    """Compiling anew for every option is the business of the kernels' own tests."""
    return request.param


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of three items of two passes, so that a few items cross several borders."""
    monkeypatch.setattr(head, "FEWEST_ROWS", 6)
    monkeypatch.setattr(head, "MOST_ROWS", 6)
