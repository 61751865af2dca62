"""Bad input: one clear line that echoes what was passed and says the fix."""

import pytest
import torch
from jaxtyping import config

from regdrop import RDropError, r_drop_loss, symmetric_kl
from regdrop.errors import InputError


@pytest.fixture(autouse=True)
def without_the_tests_own_type_checks():
    """Users have no run-time type checker: our own checks must catch these."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


Z = torch.zeros(2, 4, 3)
Y = torch.tensor([0, 1, 2, 0])


def refuse(pattern, *arguments, **options):
    with pytest.raises(InputError, match=pattern) as caught:
        r_drop_loss(*arguments, **({"alpha": 1.0} | options))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, RDropError)
    assert isinstance(caught.value, ValueError)


def test_one_pass_only():
    refuse(r"shape \(1, 4, 3\) hold 1 pass; .*torch.stack", Z[:1], Y)


def test_unstacked_logits():
    refuse(r"shape \(4, 3\) should be \(passes, items, classes\).*torch.stack", Z[0], Y)


def test_integer_logits():
    refuse(r"torch.int64 should be floating point", Z.long(), Y)


def test_target_out_of_range():
    refuse(r"target 3 is outside the 3 classes .*\(0 to 2\).*ignore_index=3", Z, torch.tensor([0, 3, 1, 1]))
    refuse(r"target -1 is outside", Z, torch.tensor([0, -1, 1, 1]))


def test_out_of_range_where_masked_is_fine():
    mask = torch.tensor([True, False, True, True])
    assert r_drop_loss(Z, torch.tensor([0, 77, 1, 1]), alpha=1.0, mask=mask).loss.isfinite()


def test_target_of_the_wrong_shape():
    refuse(r"shape \(4, 1\).*need integer classes of shape \(4,\)", Z, Y[:, None])
    refuse(r"shape \(4, 2\).*probabilities of shape \(4, 3\)", Z, torch.zeros(4, 2))


@pytest.mark.parametrize("shape", [(4, 4, 1), (4,), (1, 4), (4, 4, 4)])
def test_mask_of_the_wrong_shape_never_masks_classes(shape):
    cube = torch.zeros(2, 4, 4, 4)
    refuse(r"never one a class", cube, torch.zeros(4, 4, dtype=torch.long), mask=torch.ones(shape, dtype=torch.bool))


def test_mask_where_batch_time_and_classes_agree_masks_items():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 4, 4, generator=generator)
    target, mask = torch.zeros(4, 4, dtype=torch.long), torch.ones(4, 4, dtype=torch.bool)
    mask[1:] = False
    out = r_drop_loss(logits, target, alpha=1.0, mask=mask)
    torch.testing.assert_close(out.loss, r_drop_loss(logits[:, 0], target[0], alpha=1.0).loss)


def test_mask_of_other_numbers():
    refuse("other than 0 and 1", Z, Y, mask=torch.tensor([0, 1, 2, 1]))


def test_no_valid_item():
    refuse(r"no valid item: all 4 targets .*num_items", Z, torch.full((4,), -100))
    refuse(r"no valid item", Z, Y, mask=torch.zeros(4, dtype=torch.bool))


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
def test_alpha(alpha):
    refuse(rf"alpha={alpha}", Z, Y, alpha=alpha)


def test_names():
    refuse("unknown task 'regresion': did you mean 'regression'", Z, Y, task="regresion")
    refuse("reduction='batchmean' is unknown", Z, Y, reduction="batchmean")


def test_options_that_do_not_belong_together():
    refuse("num_items=3 divides a mean", Z, Y, num_items=3, reduction="sum")
    refuse("belong to task='classification'", Z, torch.zeros(4, 3), task="regression", label_smoothing=0.1)
    refuse("label_smoothing=1.5", Z, Y, label_smoothing=1.5)
    refuse(r"class_weight has shape \(2,\); expected one a class: \(3,\)", Z, Y, class_weight=torch.ones(2))


@pytest.mark.parametrize("count", [0, -3, torch.tensor(0)])
def test_a_global_batch_without_items(count):
    refuse(r"must be at least 1: no item of the whole global batch", Z, Y, num_items=count)


@pytest.mark.parametrize("value", [2.0, -1.0, float("nan")])
def test_multilabel_target_out_of_range(value):
    target = torch.tensor([[0.0, 1.0, 0.5]] * 4)
    target[2, 1] = value
    refuse(f"multi-label target {value:g} is outside 0 to 1", Z, target, task="multilabel")
    mask = target == target.clamp(0, 1)
    assert r_drop_loss(Z, target, alpha=1.0, task="multilabel", mask=mask).loss.isfinite()


@pytest.mark.parametrize("row", [[0.9, 0.9, 0.0], [0.0, 0.0, 0.0], [float("nan"), 0.5, 0.5], [3.0, -1.0, 2.0]])
def test_soft_targets_that_are_no_probabilities(row):
    target = torch.full((4, 3), 1 / 3)
    target[2] = torch.tensor(row)
    refuse(r"soft target sums to .*softmax\(-1\).*task='multilabel'", Z, target)
    mask = torch.tensor([True, True, False, True])
    assert r_drop_loss(Z, target.nan_to_num(), alpha=1.0, mask=mask).loss.isfinite()


def test_half_precision_probabilities_are_near_enough():
    target = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0)).bfloat16().softmax(-1)
    assert r_drop_loss(torch.zeros(2, 4, 1000), target, alpha=1.0).loss.isfinite()


def test_pointwise_targets_are_never_broadcast():
    refuse(r"\(4, 1\).*\(4,\).*nothing is broadcast", Z[..., 0], torch.zeros(4, 1), task="regression")
    refuse(r"\(3,\).*\(4, 3\)", Z, torch.zeros(3), task="multilabel")


def test_symmetric_kl_checks_too():
    with pytest.raises(InputError, match="hold 1 pass"):
        symmetric_kl(Z[:1])
