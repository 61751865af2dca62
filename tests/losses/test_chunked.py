"""Any output layer with the loss in chunks: the value and gradient of the whole, without the whole logits."""

import pytest
import torch
from torch import nn

from regdrop import linear_r_drop_loss, r_drop_loss
from regdrop.errors import InputError
from regdrop.losses.chunked import chunked_r_drop_loss
from regdrop.losses.head import FEWEST_ROWS

CLASSES, FEATURES = 11, 6


def layer(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, CLASSES)).double()


def batch(passes, *items, seed=1):
    torch.manual_seed(seed)
    hidden = torch.randn(passes, *items, FEATURES, dtype=torch.float64, requires_grad=True)
    target = torch.randint(CLASSES, items)
    target.view(-1)[::3] = -100
    return hidden, target


def parts(function, hidden, head, target, **options):
    """The loss, its parts, and the gradients of hidden states and weights."""
    out = function(hidden, head, target, **options)
    return (out.loss, out.task_loss, out.kl), torch.autograd.grad(out.loss, [hidden, *head.parameters()])


def whole(hidden, head, target, **options):
    return r_drop_loss(head(hidden), target, **options)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"num_items": 17}, {"ignore_index": 4}], ids=str)
@pytest.mark.parametrize(("passes", "items"), [(2, (3, 5)), (3, (7,)), (2, (1,)), (2, (2, 400))], ids=str)
def test_equals_the_loss_of_the_whole_logits(passes, items, options):
    hidden, target = batch(passes, *items)
    if items == (1,):
        target[0] = 2
    if options.get("ignore_index"):
        target[target == -100] = 4
    found = parts(chunked_r_drop_loss, hidden, layer(), target, alpha=1.7, **options)
    torch.testing.assert_close(found, parts(whole, hidden, layer(), target, alpha=1.7, **options))


def test_equals_the_linear_loss():
    hidden, target = batch(2, 4, 9)
    head = nn.Linear(FEATURES, CLASSES).double()
    weights = {"class_weight": torch.linspace(0.5, 2, CLASSES, dtype=torch.float64)}
    found = chunked_r_drop_loss(hidden, head, target, alpha=0.7, **weights)
    fused = linear_r_drop_loss(hidden, head.weight, target, head.bias, alpha=0.7, **weights)
    torch.testing.assert_close((found.loss, found.kl), (fused.loss, fused.kl))


def test_the_layer_meets_few_rows_at_once_and_no_padding():
    hidden, target = batch(2, 3, 300)
    rows, head = [], layer()
    head.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    chunked_r_drop_loss(hidden, head, target, alpha=1.0).loss.backward()
    assert max(rows) <= FEWEST_ROWS
    assert sum(rows) == 2 * 2 * int((target != -100).sum())  # two passes, once forward and once in backward


def test_dropout_in_the_layer_is_drawn_the_same_in_backward():
    hidden, target = batch(2, 5)
    head = nn.Sequential(nn.Dropout(0.5), layer())

    def loss(hidden):
        torch.manual_seed(3)
        return chunked_r_drop_loss(hidden, head, target, alpha=1.0).loss

    assert torch.autograd.gradcheck(loss, hidden)


def test_no_valid_item():
    hidden, target = batch(2, 4)
    target[:] = -100
    with pytest.raises(InputError, match="no valid item"):
        chunked_r_drop_loss(hidden, layer(), target, alpha=1.0)
    out = chunked_r_drop_loss(hidden, layer(), target, alpha=1.0, num_items=5)
    out.loss.backward()
    assert (out.loss.item(), float(hidden.grad.abs().sum())) == (0, 0)


def test_a_target_of_another_shape_is_refused():
    hidden, target = batch(2, 4)
    with pytest.raises(InputError, match=r"target has shape \(3,\)"):
        chunked_r_drop_loss(hidden, layer(), target[:3], alpha=1.0)


def test_nothing_is_kept_without_gradients():
    hidden, target = batch(2, 4)
    with torch.no_grad():
        out = chunked_r_drop_loss(hidden, layer(), target, alpha=1.0)
    torch.testing.assert_close(out.loss, whole(hidden, layer(), target, alpha=1.0).loss.detach())
