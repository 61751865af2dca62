"""Every value, gradient and law test of the loss runs on every backend."""

import pytest

BACKENDS = ["eager", "native"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param
