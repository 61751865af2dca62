"""Each row of the table, checked by running that implementation's formula and comparing gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, kl_div, mse_loss

from regdrop import paper_alpha, r_drop_loss
from regdrop.errors import InputError, UnsupportedError
from regdrop.losses.alpha import alpha_table
from regdrop.losses.conventions import CONVENTIONS

# torch warns that a mean also runs over the classes: that is what these conventions do.
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")


def both(a, b, reduction):
    """KL + KL' as torch's kl_div reduces them; "sum" also stands for summing unreduced elements."""
    log_a, log_b = a.log_softmax(-1), b.log_softmax(-1)
    return kl_div(log_a, log_b.exp(), reduction=reduction) + kl_div(log_b, log_a.exp(), reduction=reduction)


def summed_ce(z, y):
    return cross_entropy(z.flatten(0, -2), y.flatten(), reduction="sum")


def mean_ce(z, y):
    return cross_entropy(z.flatten(0, -2), y.flatten())


def halved(reduction):
    return lambda a, b, y, w: (mean_ce(a, y) + mean_ce(b, y)) / 2 + w * both(a, b, reduction) / 2


def fairseq(a, b, y, w):
    return summed_ce(a, y) + summed_ce(b, y) + w * both(a, b, "sum") / 2


def over_both(a, b, y):
    """Mean over the 2B rows of a doubled batch."""
    return mean_ce(torch.cat([a, b]), torch.cat([y, y]))


FORMULAS = {
    "paper": lambda a, b, y, w: (summed_ce(a, y) + summed_ce(b, y) + w / 2 * both(a, b, "sum")) / y.numel(),
    "readme-sum": halved("sum"),
    "readme-mean": halved("mean"),
    "readme-batchmean": halved("batchmean"),
    "fairseq-translation": fairseq,
    "fairseq-summarization": fairseq,
    "fairseq-lm": fairseq,
    "fairseq-roberta": fairseq,
    "hf-bert": lambda a, b, y, w: mean_ce(a, y) + mean_ce(b, y) + w * both(a, b, "sum") / 2,
    "hf-roberta": lambda a, b, y, w: mean_ce(a, y) / 2 + w * both(a, b, "sum") / 2,
    "hf-roberta-token": lambda a, b, y, w: mean_ce(a, y) + mean_ce(b, y) + w * both(a, b, "sum"),
    "vit": lambda a, b, y, w: mean_ce(a, y) + mean_ce(b, y) + w * both(a, b, "sum"),
    "paddle-vit": halved("sum"),
    "paddlenlp-none": halved("sum"),
    "paddlenlp-mean": halved("mean"),
    "paddlenlp-batchmean": halved("batchmean"),
    "keras": lambda a, b, y, w: over_both(a, b, y) + both(a, b, "none").sum(-1).mean() / 4 * w,
    "bert4torch": lambda a, b, y, w: over_both(a, b, y) + both(a, b, "none").mean() / 4 * w,
    "trainer-snippet-sum": halved("sum"),
    "trainer-snippet-mean": halved("mean"),
    "trainer-snippet-batchmean": halved("batchmean"),
}
REGRESSIONS = {
    "hf-bert-regression": lambda a, b, y, w: mse_loss(a, y) + mse_loss(b, y) + w * mse_loss(a, b),
    "hf-roberta-regression": lambda a, b, y, w: mse_loss(a, y) / 2 + w * mse_loss(a, b),
}


def assert_same_direction(formula, name, shape, target, **sizes):
    """Their gradient, averaged over the two orders of the passes, is ours times a constant."""
    torch.manual_seed(0)
    z = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    theirs = (formula(z[0], z[1], target, 0.37) + formula(z[1], z[0], target, 0.37)) / 2
    task = "regression" if name in REGRESSIONS else "classification"
    ours = r_drop_loss(z, target, alpha=paper_alpha(0.37, name, **sizes), task=task).loss
    (g,), (h,) = torch.autograd.grad(theirs, z), torch.autograd.grad(ours, z)
    scale = (g * h).sum() / (h * h).sum()
    torch.testing.assert_close(g, scale * h, rtol=1e-9, atol=1e-12)


def test_every_row_is_checked():
    assert {**FORMULAS, **REGRESSIONS}.keys() == CONVENTIONS.keys()


@pytest.mark.parametrize("name", FORMULAS)
def test_samples(name):
    assert_same_direction(FORMULAS[name], name, (6, 5), torch.tensor([0, 1, 2, 3, 4, 0]), micro_batch=6, classes=5)


@pytest.mark.parametrize("name", FORMULAS)
def test_tokens(name):
    target = torch.arange(12).reshape(3, 4) % 5
    assert_same_direction(FORMULAS[name], name, (3, 4, 5), target, micro_batch=3, classes=5, tokens=12)


@pytest.mark.parametrize("name", REGRESSIONS)
def test_regressions(name):
    assert_same_direction(REGRESSIONS[name], name, (6,), torch.randn(6, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "published", "sizes", "here"),
    [
        ("vit", 0.3, {"micro_batch": 32}, 19.2),
        ("vit", 0.3, {"micro_batch": 512}, 307.2),
        ("paddle-vit", 0.3, {"micro_batch": 8}, 4.8),
        ("hf-bert", 0.5, {"micro_batch": 16}, 8.0),
        ("hf-roberta", 0.7, {"micro_batch": 32}, 89.6),
        ("hf-roberta-token", 0.05, {"tokens": 100}, 10.0),
        ("fairseq-translation", 5, {}, 5.0),
        ("keras", 4, {}, 4.0),
        ("bert4torch", 4, {"classes": 10}, 0.4),
        ("readme-mean", 1, {"classes": 100}, 0.02),
    ],
)
def test_known_values(name, published, sizes, here):
    assert paper_alpha(published, name, **sizes) == here


@given(st.sampled_from(sorted(CONVENTIONS)), st.floats(0, 100), st.integers(1, 64))
def test_the_translation_is_linear(name, alpha, size):
    sizes = {"micro_batch": size, "classes": 10, "tokens": 3 * size}
    assert paper_alpha(2 * alpha, name, **sizes) == pytest.approx(2 * paper_alpha(alpha, name, **sizes))


def test_a_missing_size_is_named():
    with pytest.raises(InputError, match="depends on micro_batch"):
        paper_alpha(0.3, "vit")
    with pytest.raises(InputError, match="depends on classes"):
        paper_alpha(0.3, "bert4torch")
    with pytest.raises(InputError, match="micro_batch=0"):
        paper_alpha(0.3, "vit", micro_batch=0)


def test_a_size_below_one_is_refused_by_the_table_too():
    with pytest.raises(InputError, match="classes=-3 must be at least 1"):
        alpha_table(micro_batch=32, classes=-3)


def test_unknown_and_meaningless_conventions():
    with pytest.raises(InputError, match="did you mean 'keras'"):
        paper_alpha(1.0, "kears")
    with pytest.raises(UnsupportedError, match="no divergence"):
        paper_alpha(1.0, "open-retrievals")


def test_the_table_knows_what_it_lacks():
    rows = {row["name"]: row for row in alpha_table(micro_batch=32)}
    assert rows["vit"]["here"] == 19.2
    assert rows["bert4torch"]["here"] is None
    assert {row["alpha"] for row in alpha_table(2.0)} == {2.0}
