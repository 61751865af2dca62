"""Numbers stay numbers: the loss at the ends of what logits can be, and a gradient scaler that meets an overflow."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from regdrop.losses.divergence import symmetric_kl
from regdrop.losses.rdrop import r_drop_loss
from regdrop.training.run import train
from regdrop.training.trainer import TaskTrainer
from tiny import tiny_recipe

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
ROUNDING = 1e-6


@st.composite
def extreme_logits(draw):
    """Logits of 2 or 3 passes from -1e4 to 1e4, and which classes are masked in every pass; the last never is."""
    passes, items, classes = (draw(st.integers(low, high)) for low, high in ((2, 3), (1, 3), (2, 6)))
    value = st.floats(-1e4, 1e4, width=32) | st.sampled_from([-1e4, 0.0, 1e4])
    flat = draw(st.lists(value, min_size=passes * items * classes, max_size=passes * items * classes))
    masked = torch.tensor([*draw(st.lists(st.booleans(), min_size=classes - 1, max_size=classes - 1)), False])
    logits = torch.tensor(flat, dtype=torch.float64).reshape(passes, items, classes)
    return logits.masked_fill(masked, -torch.inf), masked


@pytest.mark.parametrize("backend", ["eager", "native"])
@settings(max_examples=150, deadline=None)
@given(drawn=extreme_logits(), dtype=st.sampled_from(DTYPES))
def test_loss_and_gradient_of_any_logits_are_finite_and_no_divergence_is_negative(backend, drawn, dtype):
    logits, masked = drawn
    logits = logits.to(dtype).requires_grad_()
    target = torch.full(logits.shape[1:2], len(masked) - 1)
    out = r_drop_loss(logits, target, alpha=0.5, backend=backend)
    out.loss.backward()
    assert out.loss.isfinite()
    assert out.kl >= -ROUNDING
    assert logits.grad.isfinite().all()
    assert not logits.grad[..., masked].any()


@pytest.mark.parametrize("backend", ["eager", "native"])
@settings(max_examples=100, deadline=None)
@given(drawn=extreme_logits(), data=st.data())
def test_a_class_masked_in_some_passes_only_is_infinitely_far_and_never_nan(backend, drawn, data):
    logits, _ = drawn
    logits[data.draw(st.integers(0, len(logits) - 1)), 0, -1] = -torch.inf
    logits[..., 0] = 0.0  # so that each pass has a class left
    value = symmetric_kl(logits.float(), backend=backend)
    assert not value.isnan().any()
    assert (value >= -ROUNDING).all()


def test_an_overflow_is_left_to_the_gradient_scaler(tmp_path, monkeypatch):
    """PyTorch's scaler on the CPU in float32, with a scale at which the first gradients are infinite."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    make = TaskTrainer.create_accelerator_and_postprocess

    def with_scaler(self):
        make(self)
        self.accelerator.scaler = scaler

    monkeypatch.setattr(TaskTrainer, "create_accelerator_and_postprocess", with_scaler)
    recipe = tiny_recipe(train__steps=40, train__eval_every=40, train__schedule="constant_with_warmup")
    summary = train(recipe, tmp_path, seed=0, progress=False)
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert 1 < scaler.get_scale() < 2.0**127
    assert all(math.isfinite(record["loss"]) for record in records if "loss" in record)
    assert all(weight.isfinite().all() for weight in load_file(tmp_path / "best" / "model.safetensors").values())
    assert summary.steps == 40
