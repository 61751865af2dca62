import signal
from types import SimpleNamespace

import pytest
import torch

from regdrop.training import stopping
from regdrop.training.stopping import SIGNALS, StopRequest


@pytest.fixture
def request_to_stop():
    """Of a trainer with one process."""
    accelerator = SimpleNamespace(gather=lambda tensor: tensor, device=torch.device("cpu"))
    return StopRequest(SimpleNamespace(accelerator=accelerator))


def end_of_step(stop):
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    stop.on_step_end(None, None, control)
    return control.should_save, control.should_training_stop


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_and_ends_after_the_step(request_to_stop, number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with request_to_stop as stop:
        assert end_of_step(stop) == (False, False)
        signal.raise_signal(number)
        signal.raise_signal(number)  # torchrun repeats what the terminal has sent already
        assert end_of_step(stop) == (True, True)
        assert stop.agreed == number
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.fixture
def interruptible():
    """Ctrl-C raises, which it does not where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_acts_at_once(request_to_stop, monkeypatch):
    monkeypatch.setattr(stopping, "PATIENCE", -1.0)
    with request_to_stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
