"""The handle: what it measures, what may be changed, which steps it acts in."""

import copy

import pytest
import torch
from torch import nn

from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BY_NAME
from regdrop import attach
from regdrop.errors import InputError, NoNoiseError, UnsupportedError

BERT = BY_NAME["BERT sequence classification"]
CAUSAL = BY_NAME["Llama causal LM"]


def test_a_copied_model_carries_its_own_handle():
    model = Counted()
    handle = attach(model, alpha=1.0)
    twin = copy.deepcopy(model)
    twin(*own_batch())
    assert handle.pop_metrics() == {}
    with pytest.raises(InputError, match="already"):
        attach(twin, alpha=1.0)


def test_dropout_left_in_eval_mode_is_refused_at_the_first_training_forward():
    model = Counted().eval()
    attach(model, alpha=1.0)
    model.train()
    model.body[1].eval()
    with pytest.raises(NoNoiseError, match=r"dropout p=0.5 \(eval mode\).*Call model.train\(\)"):
        model(*own_batch())


def test_a_training_forward_without_labels_is_refused_only_where_gradients_are_wanted():
    model = CAUSAL.model()
    attach(model, alpha=1.0)
    ids = torch.tensor([[4, 30, 31]])
    with pytest.raises(UnsupportedError, match=r"got no labels \(keywords: input_ids\)"):
        model(input_ids=ids)
    with torch.no_grad():
        assert model(input_ids=ids).loss is None


def test_alpha_may_change():
    model, batch = BERT.model(), BERT.batch(4)
    handle = attach(model, alpha=0.0)
    with per_sample_masks(model):
        plain = model(**batch).loss
        handle.alpha = 3.0
        assert model(**batch).loss.item() == pytest.approx(plain.item() + 3 * handle.kl.item(), rel=1e-5)


def test_more_passes():
    model = Counted()
    handle = attach(model, alpha=1.0, passes=3)
    output = model(*own_batch())
    assert model.rows == 12
    assert output["logits"].shape == (4, 3)
    assert handle.task_loss > 2.0  # three cross-entropies of about 1.1


def test_every_kth_step_only_and_plain_steps_on_the_same_scale():
    model = Counted()
    handle = attach(model, alpha=1.0, every=3)
    x, y = own_batch()
    rows, kls, losses = [], [], []
    for _ in range(6):
        losses.append(model(x, y)["loss"].item())
        rows.append(model.rows)
        kls.append(handle.kl)
    assert rows == [8, 4, 4, 8, 4, 4]
    assert [kl is None for kl in kls] == [False, True, True, False, True, True]
    assert handle.pop_metrics()["kl"] == pytest.approx((kls[0] + kls[3]).item() / 2, rel=1e-6)
    model.body[1].p = 0.0
    model(x, y)
    expected = 2 * nn.functional.cross_entropy(model.body(x), y)
    assert model(x, y)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert model.rows == 4


def test_every_counts_optimizer_steps_where_it_is_told_them():
    model = Counted()
    handle = attach(model, alpha=1.0, every=2)
    rows = []
    for step in range(3):
        handle.begin_step(step)
        for _ in range(2):
            model(*own_batch())
            rows.append(model.rows)
    assert rows == [8, 8, 4, 4, 8, 8]


def test_an_exception_in_the_model_leaves_nothing_behind():
    model = Counted()
    attach(model, alpha=1.0)
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(4, 5), torch.zeros(4, dtype=torch.long))
    x, y = own_batch()
    assert model.eval()(x, y)["logits"].shape == (4, 3)


@pytest.mark.parametrize("removed", [False, True])
def test_an_interrupted_forward_is_taken_back_by_what_comes_next(removed):
    """KeyboardInterrupt calls no forward hook."""
    model = Counted()
    handle = attach(model, alpha=1.0, pass_dropout=(0.1, 0.4))
    hook = model.body[2].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(*own_batch())
    hook.remove()
    assert model.body[1].p == 0.1
    if removed:
        handle.remove()
    else:
        model.eval()(torch.ones(1, 8))
    assert model.body[1].p == 0.5


def interrupt(*_):
    raise KeyboardInterrupt
