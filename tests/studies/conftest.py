"""Runs of studies are compared to the last bit, whichever process made them."""

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The number of threads decides the order of sums; workers have one each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
