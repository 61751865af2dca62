"""paired_forward and its modes."""

import pytest
import torch
from jaxtyping import config
from torch import nn

from passes.masks import per_sample_masks
from passes.tiny import BY_NAME, CASES
from regdrop import paired_forward
from regdrop.errors import InputError, NoNoiseError
from regdrop.passes.outputs import logits_of

LABELS = ("labels", "start_positions", "end_positions")


def inputs_of(case, rows):
    batch = {name: value for name, value in case.batch(rows).items() if name not in LABELS}
    if case.kind == "seq2seq":
        batch["decoder_input_ids"] = case.batch(rows)["labels"].clamp(min=0)
    return batch


def names_of(case):
    return ("start_logits", "end_logits") if case.kind == "qa" else ("logits",)


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_concat_equals_sequential_under_the_same_masks(case, passes):
    model, inputs, stacked = case.model(), inputs_of(case, 4), {}
    for mode in ("concat", "sequential"):
        with per_sample_masks(model, forwards=passes if mode == "sequential" else 1):
            stacked[mode] = logits_of(paired_forward(model, **inputs, passes=passes, mode=mode), names_of(case))
    for concat, sequential in zip(*stacked.values(), strict=True):
        assert concat.shape[:2] == (passes, 4)
        torch.testing.assert_close(concat, sequential, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["concat", "sequential"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_masks_differ_between_the_passes_of_every_sample(case, mode):
    (logits, *_) = logits_of(paired_forward(case.model(), **inputs_of(case, 4), mode=mode), names_of(case))
    assert (logits[0] - logits[1]).flatten(1).abs().amax(1).min() > 0


def test_stacking_is_a_view_of_the_doubled_batch():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))
    seen = []
    model[1].register_forward_hook(lambda module, args, output: seen.append(output))
    logits = paired_forward(model, torch.randn(5, 4))
    assert logits.untyped_storage().data_ptr() == seen[0].untyped_storage().data_ptr()
    assert seen[0].shape == (10, 3)


@pytest.mark.parametrize(("mode", "updates"), [("concat", 1), ("sequential", 2)])
def test_batch_norm_sees_all_rows_at_once_or_each_pass(mode, updates):
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))
    x = torch.randn(8, 4)
    paired_forward(model, x, mode=mode)
    norm = model[0]
    assert norm.num_batches_tracked == updates
    # Repeated rows have the mean of single ones, so every update moves the running mean a tenth of the way there.
    torch.testing.assert_close(norm.running_mean, x.mean(0) * (1 - 0.9**updates))


def test_what_has_no_batch_dimension_is_shared_or_averaged():
    class WithAuxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.calls = nn.Dropout(0.5), 0

        def forward(self, x):
            self.calls += 1
            return {"logits": self.drop(x), "aux": torch.tensor(float(self.calls)), "count": torch.tensor(self.calls)}

    output = paired_forward(WithAuxiliary(), torch.randn(4, 2), mode="sequential")
    assert (output["aux"].item(), output["count"].item()) == (1.5, 1)
    output = paired_forward(WithAuxiliary(), torch.randn(4, 2))
    assert (output["aux"].item(), output["count"].item()) == (1.0, 1)


def test_refusals():
    config.update("jaxtyping_disable", True)  # users have no run-time type checker
    model = nn.Sequential(nn.Dropout(0.5))
    with pytest.raises(InputError, match="passes=1"):
        paired_forward(model, torch.randn(2, 2), passes=1)
    with pytest.raises(InputError, match="unknown mode 'concatenate': did you mean 'concat'"):
        paired_forward(model, torch.randn(2, 2), mode="concatenate")
    with pytest.raises(NoNoiseError):
        paired_forward(model.eval(), torch.randn(2, 2))
    config.update("jaxtyping_disable", False)


def test_sequential_takes_a_flattened_batch():
    model = BY_NAME["Llama causal LM"].model()
    output = paired_forward(model, input_ids=torch.tensor([[4, 30, 5, 31]]), mode="sequential",
                            position_ids=torch.tensor([[0, 1, 0, 1]]))  # fmt: skip
    assert output.logits.shape[:3] == (2, 1, 4)
