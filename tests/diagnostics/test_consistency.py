"""The quantities against loops over items, passes and pairs, and the laws they obey."""

from dataclasses import asdict
from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diagnostics import slow
from regdrop.diagnostics import consistency as module
from regdrop.diagnostics.consistency import ConsistencySums, item_quantities
from regdrop.errors import NonFiniteError


def measured(sub, full, target, pieces=1):
    sums = ConsistencySums()
    for part in torch.arange(len(target)).chunk(pieces):
        sums.add(sub[:, part], full[part], target[part])
    return sums


@pytest.mark.parametrize("passes", [2, 3, 8])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_quantity_equals_the_slow_reference(passes, dtype):
    sub, full = slow.normal(passes, 23, 6).to(dtype), slow.normal(23, 6, seed=1).to(dtype)
    target = slow.classes(23, 6)
    assert asdict(measured(sub, full, target).means()) == pytest.approx(slow.consistency(sub, full, target), rel=1e-9)


@pytest.mark.parametrize("pieces", [2, 7, 23])
def test_batches_of_any_size_give_the_same_means(pieces):
    sub, full, target = slow.normal(3, 23, 6), slow.normal(23, 6, seed=1), slow.classes(23, 6)
    whole, split = (measured(sub, full, target, count) for count in (1, pieces))
    assert split.items == 23
    assert asdict(split.means()) == pytest.approx(asdict(whole.means()), rel=1e-12)


def test_chunks_within_a_batch_change_nothing(monkeypatch):
    sub, full, target = slow.normal(3, 23, 6), slow.normal(23, 6, seed=1), slow.classes(23, 6)
    whole = asdict(measured(sub, full, target).means())
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 3 * 6 * 4)
    assert asdict(measured(sub, full, target).means()) == pytest.approx(whole, rel=1e-12)


def test_a_batch_without_valid_items_adds_nothing():
    sub, full, target = slow.normal(3, 5, 6), slow.normal(5, 6, seed=1), slow.classes(5, 6)
    sums = measured(sub, full, target)
    before = sums.means()
    sums.add(sub[:, :0], full[:0], target[:0])
    assert sums.items == 5
    assert sums.means() == before


def test_sub_models_that_equal_the_full_model_leave_no_gap():
    full, target = slow.normal(9, 4), slow.classes(9, 4)
    found = asdict(measured(full.expand(4, 9, 4), full, target).means())
    assert found.pop("loss_gap_constant") is None
    kept = {"full_nll", "sub_nll", "average_nll", "full_accuracy", "sub_accuracy", "average_accuracy"}
    assert {name: value for name, value in found.items() if name not in kept} == pytest.approx(
        dict.fromkeys(found.keys() - kept, 0.0), abs=1e-14
    )


def test_a_class_masked_everywhere_counts_for_nothing():
    sub, full, target = slow.normal(3, 9, 4), slow.normal(9, 4, seed=1), slow.classes(9, 4)
    masked = [torch.cat([z, torch.full_like(z[..., :1], -torch.inf)], -1) for z in (sub, full)]
    assert measured(*masked, target).means() == measured(sub, full, target).means()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_are_named(broken):
    sub, full, target = slow.normal(2, 3, 4), slow.normal(3, 4, seed=1), torch.tensor([0, 1, 2])
    full[1, 1] = broken
    with pytest.raises(NonFiniteError, match=r"full_nll.* not finite within the first 3 items"):
        measured(sub, full, target)


numbers = st.integers(0, 10_000)


@given(seed=numbers, passes=st.integers(2, 5), classes=st.integers(2, 7), scale=st.sampled_from([0.01, 1.0, 20.0]))
def test_laws(seed, passes, classes, scale):
    sub, full = (slow.normal(*shape, seed=seed, scale=scale) for shape in ((passes, 6, classes), (6, classes)))
    target = slow.classes(6, classes, seed)
    found = item_quantities(sub, full, target)
    assert (found["sub_nll"] - found["average_nll"] >= -1e-12).all()  # Jensen
    assert (found["total_variation"] <= (found["pairwise_kl"] / 2).sqrt() + 1e-12).all()  # Pinsker
    assert (found["average_to_full_kl"] <= found["sub_to_full_kl"] + 1e-9).all()  # KL is convex
    for name, value in found.items():
        bounded = name in ("total_variation",) or name.endswith(("disagreement", "accuracy"))
        assert (value >= -1e-12).all(), name
        assert not bounded or (value <= 1 + 1e-12).all(), name


@given(seed=numbers, shift=st.floats(-50, 50))
def test_order_of_the_passes_and_shifts_of_the_logits_change_nothing(seed, shift):
    sub, full, target = slow.normal(3, 5, 4, seed=seed), slow.normal(5, 4, seed=seed + 1), slow.classes(5, 4, seed)
    plain, other = item_quantities(sub, full, target), item_quantities(sub.flip(0) + shift, full - shift, target)
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value, rtol=1e-7, atol=1e-9, msg=name)


def test_known_numbers():
    sub = torch.tensor([[[0.0, log(3.0)]], [[log(3.0), 0.0]]])  # (1/4, 3/4) and (3/4, 1/4)
    found = measured(sub, torch.zeros(1, 2), torch.tensor([1])).means()
    assert found.pairwise_kl == pytest.approx(log(3) / 2)
    assert found.total_variation == pytest.approx(0.5)
    assert found.average_to_full_kl == pytest.approx(0.0, abs=1e-12)
    assert found.full_nll == found.average_nll == pytest.approx(log(2))
    assert found.sub_nll == pytest.approx((log(4) + log(4 / 3)) / 2)
    assert (found.pairwise_disagreement, found.sub_accuracy) == (1.0, 0.5)
