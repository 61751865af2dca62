"""R-Drop by hand: two plain forwards in float64 and the paper's equation on their logits; no code of the package."""

import copy

from torch.nn.functional import log_softmax, logsigmoid, one_hot, pad

from passes.masks import per_sample_masks

LABELS = ("labels", "start_positions", "end_positions")


def run_pass(model, batch, which):
    """One training forward of a model without labels, under the masks of one pass."""
    inputs = {name: value for name, value in batch.items() if name not in LABELS}
    if model.config.is_encoder_decoder:
        start, blank = model.config.decoder_start_token_id, model.config.pad_token_id
        shifted = pad(batch["labels"], (1, -1), value=start)
        inputs["decoder_input_ids"] = shifted.masked_fill(shifted == -100, blank)
    with per_sample_masks(model, first_pass=which):
        return model(**inputs)


def sums(kind, first, second, batch, alpha):
    """(sum over valid items of the loss, of the task loss, of the divergence, how many) of one batch."""
    if kind == "qa":
        parts = [
            _classes(a, b, batch[f"{side}_positions"], alpha)
            for side, a, b in (
                ("start", first.start_logits, second.start_logits),
                ("end", first.end_logits, second.end_logits),
            )
        ]
        return tuple((a + b) / 2 for a, b in zip(*parts, strict=True))
    a, b, labels = first.logits, second.logits, batch.get("labels")
    if kind == "regression":
        a, b = a.squeeze(-1), b.squeeze(-1)
        task, divergence = (a - labels) ** 2 + (b - labels) ** 2, (a - b) ** 2
        return (task + alpha * divergence).sum(), task.sum(), divergence.sum(), labels.numel()
    if kind == "multilabel":
        return _binary(a, b, labels.to(a.dtype), alpha)
    if kind == "causal":
        a, b, labels = a[:, :-1], b[:, :-1], labels[:, 1:]
    return _classes(a, b, labels, alpha)


def _classes(a, b, labels, alpha):
    valid = labels != -100
    p, q, picked = log_softmax(a[valid], -1), log_softmax(b[valid], -1), one_hot(labels[valid], a.shape[-1])
    task = -(picked * (p + q)).sum()
    divergence = 0.5 * (p.exp() * (p - q) + q.exp() * (q - p)).sum()
    return task + alpha * divergence, task, divergence, int(valid.sum())


def _binary(a, b, y, alpha):
    task = -(y * (logsigmoid(a) + logsigmoid(b)) + (1 - y) * (logsigmoid(-a) + logsigmoid(-b))).sum()

    def kl(x, z):
        on = x.sigmoid() * (logsigmoid(x) - logsigmoid(z))
        return (on + (-x).sigmoid() * (logsigmoid(-x) - logsigmoid(-z))).sum()

    divergence = 0.5 * (kl(a, b) + kl(b, a))
    return task + alpha * divergence, task, divergence, y.numel()


def reference(model, kind, batch, alpha):
    """(loss, task loss, divergence, gradients by parameter name) of the mean over a whole batch, in float64."""
    double = copy.deepcopy(model).double()
    batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
    loss, task, divergence, count = sums(kind, run_pass(double, batch, 0), run_pass(double, batch, 1), batch, alpha)
    (loss / count).backward()
    return (loss / count).item(), (task / count).item(), (divergence / count).item(), gradients(double)


def gradients(model):
    """Gradients by name, in float64, of the parameters that got one."""
    return {name: p.grad.double().clone() for name, p in model.named_parameters() if p.grad is not None}


def relative_error(found, expected):
    """|found - expected| / |expected| over all parameters at once."""
    assert found.keys() == expected.keys()
    distance = sum(float((found[name] - expected[name]).square().sum()) for name in expected)
    return (distance / sum(float(value.square().sum()) for value in expected.values())) ** 0.5
