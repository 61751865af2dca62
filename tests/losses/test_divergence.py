"""`symmetric_kl` against the paper's Eq. 2, and its accuracy where naive forms lose all digits."""

import pytest
import torch

from reference import kl, mean_over_pairs
from regdrop import symmetric_kl


def normal(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("passes", [2, 3, 5])
def test_value_and_gradient(backend, passes):
    logits = normal(passes, 2, 3, 4).requires_grad_()
    value = symmetric_kl(logits, backend=backend)
    rows = logits.flatten(1, 2)
    expected = torch.stack(
        [mean_over_pairs(rows[:, i], lambda a, b: 0.5 * (kl(a, b) + kl(b, a))) for i in range(6)]
    ).reshape(2, 3)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    weight = normal(2, 3, seed=4)
    (gradient,) = torch.autograd.grad((value * weight).sum(), logits)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), logits)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("distance", "bound"), [(1e-3, 1e-4), (1e-2, 1e-5), (0.1, 1e-5), (1.0, 1e-5)])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_float32_keeps_its_digits_when_passes_nearly_agree(backend, distance, bound, offset):
    generator = torch.Generator().manual_seed(0)
    first = (3 * torch.randn(2, 32_000, generator=generator) + offset).float()
    second = first + distance * torch.randn(2, 32_000, generator=generator)
    logits = torch.stack([first, second])
    exact = symmetric_kl(logits.double())
    relative = (symmetric_kl(logits, backend=backend).double() / exact - 1).abs().max()
    # Where the offset is so large that float32 rounds the logits, both sides see the same rounded numbers.
    assert relative <= bound


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4])
def test_never_negative_never_nan(backend, scale):
    logits = scale * normal(3, 64, 17).float()
    logits[:, :, 3] = -torch.inf
    value = symmetric_kl(logits, backend=backend)
    assert (value >= 0).all()
    assert value.isfinite().all()
