"""Adaptive input and softmax: exact log-probabilities of every word, and R-Drop over all of them."""

import copy
import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import reference
from passes.masks import per_sample_masks
from regdrop import attach
from regdrop.tasks.models.adaptive import AdaptiveInput, AdaptiveSoftmax
from regdrop.tasks.models.causal_lm import CausalModel, build_causal_lm
from watcher import Watcher

EDGES = (0, 5, 9, 20)
SIZES = {"vocabulary": 20, "width": 16, "depth": 2, "heads": 2, "positions": 12, "feed_forward": 32}


def network(**changes):
    torch.manual_seed(0)
    model = CausalModel(**SIZES | {"architecture": "adaptive", "cutoffs": "5,9", "dropout": 0.3} | changes)
    return build_causal_lm(model)


def words(rows, length, seed=1):
    """Rows that begin with different words, as `per_sample_masks` needs them."""
    torch.manual_seed(seed)
    tokens = torch.randint(20, (rows, length))
    tokens[:, 0] = torch.arange(rows)
    return tokens


def test_a_word_is_embedded_by_its_band():
    torch.manual_seed(0)
    inputs, tokens = AdaptiveInput(EDGES, 16), torch.arange(20).view(4, 5)
    assert [embedding.weight.shape for embedding, _ in inputs.bands] == [(5, 16), (4, 4), (11, 1)]
    found = inputs(tokens).flatten(0, 1)
    for word in range(20):
        band = 0 if word < 5 else 1 if word < 9 else 2
        embedding, projection = inputs.bands[band]
        expected = projection.weight @ embedding.weight[word - EDGES[band]] * math.sqrt(16)
        torch.testing.assert_close(found[word], expected)


def untied(softmax, inputs):
    """torch's own adaptive softmax with the same weights."""
    other = nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 9], div_value=4.0).double()
    (first, _), *later = inputs.bands
    with torch.no_grad():
        other.head.weight.copy_(torch.cat([first.weight, softmax.clusters.weight]))
        for (narrow, out), (embedding, projection) in zip(other.tail, later, strict=True):
            narrow.weight.copy_(projection.weight.t())
            out.weight.copy_(embedding.weight)
    return other


def test_the_log_probabilities_are_those_of_torch_and_add_up_to_one():
    torch.manual_seed(0)
    inputs = AdaptiveInput(EDGES, 16).double()
    softmax = AdaptiveSoftmax(inputs, dropout=0.5).double().eval()
    hidden = torch.randn(7, 16, dtype=torch.float64)
    log_p = softmax(hidden)
    torch.testing.assert_close(log_p, untied(softmax, inputs).log_prob(hidden))
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(7, dtype=torch.float64))


def test_every_weight_is_listed_once_and_saved(tmp_path):
    model = network()
    save_file(model.state_dict(), tmp_path / "model.safetensors")  # refuses weights that share memory
    names = dict(model.named_parameters())
    assert len(names) == len({id(weight) for weight in names.values()})
    assert {name for name in names if name.startswith("lm_head")} == {"lm_head.clusters.weight"}
    assert sum(weight.shape[0] for name, weight in names.items() if "embed_tokens.embeddings" in name) == 20


def test_r_drop_is_over_the_full_vocabulary():
    """One training forward against the paper's equation in float64 loops over all words."""
    model, tokens = network(), words(3, 6)
    plain, handle = copy.deepcopy(model), attach(model, alpha=1.5, fused_head=True)
    with per_sample_masks(model):
        output = model(input_ids=tokens, labels=tokens)
    output.loss.backward()
    with per_sample_masks(plain):
        logits = plain.train()(input_ids=torch.cat([tokens, tokens])).logits.view(2, 3, 6, 20)
    rows, target = logits[:, :, :-1].flatten(1, 2), tokens[:, 1:].flatten()
    loss, task, kl = reference.batch_mean(reference.classification, rows.double(), target, [True] * 15, 1.5)
    loss.backward()
    torch.testing.assert_close((output.loss, handle.task_loss, handle.kl), (loss, task, kl), check_dtype=False)
    assert output.logits is None
    assert handle.kl > 0
    for (name, weight), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_its_own_loss_is_that_of_its_log_probabilities():
    model, tokens = network().eval(), words(2, 6)
    output = model(input_ids=tokens, labels=tokens)
    log_p = output.logits[:, :-1].gather(-1, tokens[:, 1:, None])
    torch.testing.assert_close(output.loss, -log_p.mean())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_under_autocast_the_probabilities_are_still_single_precision(precision):
    model, tokens = network(softmax_dropout=0.2), words(2, 6)
    attach(model, alpha=1.0)
    with torch.autocast("cpu", precision):
        loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


def test_the_log_probabilities_of_all_items_never_exist():
    sizes = {"vocabulary": 4000, "cutoffs": "500,1500", "positions": 65, "softmax_dropout": 0.2}
    model, tokens = network(**sizes), words(16, 65)
    attach(model, alpha=1.0)
    with Watcher() as seen:
        model(input_ids=tokens, labels=tokens).loss.backward()
    assert seen.most_bytes <= 0.15 * (2 * tokens.numel() * 4000 * 4)
