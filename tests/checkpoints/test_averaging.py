import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regdrop.checkpoints.averaging import average
from regdrop.checkpoints.safetensors_file import write_safetensors
from regdrop.errors import CheckpointError


def write(folder, states):
    paths = [folder / f"{i}.safetensors" for i in range(len(states))]
    for path, state in zip(paths, states, strict=True):
        write_safetensors(state, path)
    return paths


@settings(max_examples=20)
@given(count=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_mean_of_each_weight(tmp_path_factory, count, seed):
    generator = torch.Generator().manual_seed(seed)
    states = [
        {"a": torch.randn(3, 2, generator=generator), "b": torch.randn(1, generator=generator)} for _ in range(count)
    ]
    found = average(write(tmp_path_factory.mktemp("states"), states))
    for key, weight in found.items():
        expected = torch.stack([state[key].double() for state in states]).mean(0)
        torch.testing.assert_close(weight.double(), expected, rtol=1e-6, atol=1e-7)


def test_half_precision_loses_nothing_on_the_way(tmp_path):
    states = [{"a": torch.tensor([value], dtype=torch.bfloat16)} for value in (1.0, 2**-8, 2**-8)]
    (found,) = average(write(tmp_path, states)).values()
    assert found.dtype == torch.bfloat16
    assert found.item() == torch.tensor((1 + 2**-7) / 3, dtype=torch.bfloat16).item()


@pytest.mark.parametrize(
    ("other", "words"),
    [({"a": torch.zeros(3)}, "shape"), ({"b": torch.zeros(2)}, "missing"), (None, "1.safetensors")],
)
def test_files_of_different_models_are_refused(tmp_path, other, words):
    paths = write(tmp_path, [{"a": torch.zeros(2)}, other or {"a": torch.zeros(2)}])
    if other is None:
        paths[1].write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=words):
        average(paths)
