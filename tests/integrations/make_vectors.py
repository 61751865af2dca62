"""Write vectors.json: `python tests/integrations/make_vectors.py`.

Inputs, options and what the paper's equations in slow float64 (tests/reference.py) give for them: loss, task loss, kl
and the gradient of the summed loss. Every framework's loss is held to the same file. Inputs are multiples of 1/256, so
that float32 holds them exactly; null among the logits is -inf.
"""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import reference

PATH = Path(__file__).with_name("vectors.json")
ITEMS, CLASSES = 4, 5
WEIGHT = [0.5, 2.0, 1.0, 0.25, 1.5]


def normal(*shape, seed=0):
    return (2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double() * 256).round() / 256


def labels(*shape):
    return torch.randint(CLASSES, shape, generator=torch.Generator().manual_seed(1))


def probabilities(*shape):
    """Rows of multiples of 1/256 that sum to 1; one of them is certain."""
    rows = (normal(*shape, seed=2).softmax(-1) * 256).floor()
    rows[..., 0] += 256 - rows.sum(-1)
    rows.view(-1, shape[-1])[0] = 256 * torch.eye(shape[-1])[1]
    return rows / 256


def inputs():
    """(name, logits, label, options) of every case."""
    hard, logits = labels(ITEMS), normal(2, ITEMS, CLASSES)
    tokens, padded = labels(2, 3), normal(3, 2, 3, CLASSES)
    tokens[0, 1] = tokens[1, 2] = -100
    token_mask = [[1, 1, 0], [1, 1, 1]]
    yield "two passes", logits, hard, {"alpha": 1.75}
    yield "no divergence asked for", logits, hard, {"alpha": 0.0}
    yield "equal passes", torch.zeros(2, ITEMS, 100).double(), hard, {"alpha": 1.0}
    yield "three passes", normal(3, ITEMS, CLASSES), hard, {"alpha": 5.0}
    yield "smoothing", logits, hard, {"alpha": 1.0, "label_smoothing": 0.1}
    yield "class weights", normal(3, ITEMS, CLASSES), hard, {"alpha": 1.0, "class_weight": WEIGHT}
    yield "smoothing and weights", logits, hard, {"alpha": 0.5, "label_smoothing": 0.2, "class_weight": WEIGHT}
    yield "padding", padded[:2], tokens, {"alpha": 1.0}
    yield "padding, mask, smoothing", padded, tokens, {"alpha": 1.0, "mask": token_mask, "label_smoothing": 0.1}
    yield "a class as padding", logits, hard, {"alpha": 1.0, "ignore_index": int(hard[0])}
    yield "probabilities", logits, probabilities(ITEMS, CLASSES), {"alpha": 1.0}
    soft = {"alpha": 2.0, "mask": token_mask, "label_smoothing": 0.1, "class_weight": WEIGHT}
    yield "probabilities of tokens", padded, probabilities(2, 3, CLASSES), soft
    for reduction in ("sum", "none"):
        yield reduction, padded[:2], tokens, {"alpha": 1.5, "reduction": reduction}
    yield "items of the whole batch", padded[:2], tokens, {"alpha": 1.5, "num_items": 17}
    masked = logits.clone()
    masked[:, :, 3] = -torch.inf
    yield "a class masked in every pass", masked, hard % 3, {"alpha": 1.0}
    far = torch.zeros(2, 2, CLASSES).double()
    far[0, :, 0] = far[1, :, 4] = 1000.0
    yield "logits 1,000 apart", far, hard[:2], {"alpha": 1.0}
    near = (logits[:1] + normal(2, ITEMS, CLASSES, seed=7) / 128 + 16384).mul(256).round() / 256
    yield "nearly equal passes, large offset", near, hard, {"alpha": 1.0}
    yield from pointwise_inputs()


def pointwise_inputs():
    """The same of regression and multi-label tasks."""
    regression, multilabel = {"alpha": 1.25, "task": "regression"}, {"alpha": 1.25, "task": "multilabel"}
    columns = normal(3, ITEMS, 2)
    mask = [[1, 1], [0, 1], [1, 0], [1, 1]]
    yield "regression", columns[:2, :, 0], normal(ITEMS, seed=5), regression
    yield "regression of columns", columns, normal(ITEMS, 2, seed=5), regression | {"mask": mask}
    yield "regression, none", columns[:2], normal(ITEMS, 2, seed=5), regression | {"reduction": "none"}
    switches = (normal(ITEMS, 2, seed=5) > 0).double()
    yield "multi-label, three passes", columns, switches, multilabel | {"mask": mask}
    yield "multi-label, sum", columns[:2], switches / 2 + 0.25, multilabel | {"reduction": "sum"}
    unknown = switches.clone()
    unknown[2, 1] = -100
    yield "multi-label, unknown labels", columns[:2], unknown, multilabel
    far = torch.tensor([[[1000.0, -40.0]], [[-1000.0, 40.0]]]).double()
    yield "multi-label, far apart", far, torch.tensor([[1.0, 0.0]]).double(), multilabel
    hidden = columns[:2].clone()
    hidden[:, :, 1] = -torch.inf
    yield "multi-label, a label masked in every pass", hidden, switches * torch.tensor([1.0, 0.0]), multilabel


def solve(name, logits, label, options):
    """One case with what the reference gives for it."""
    task = options.get("task", "classification")
    classes, soft = task == "classification", label.is_floating_point()
    items = logits.shape[1:-1] if classes else logits.shape[1:]
    leaf = logits.clone().requires_grad_()
    # exp(-1e4) is 0 in float64, and 0 times a finite number is 0: a class the reference can compute with.
    passes = leaf.clamp(min=-1e4).flatten(1, -2 if classes else -1)
    rows = label.flatten(0, -2) if classes and soft else label.flatten()
    valid = valid_items(label, items, options, marked=task == "multilabel" or not soft)
    extras = class_options(options) if classes else {}
    zeros = (logits.new_zeros(()),) * 3
    parts = [
        getattr(reference, task)(passes[:, i], rows[i], options["alpha"], **extras) if valid[i] else zeros
        for i in range(len(valid))
    ]
    loss, task_loss, kl = (reduce(torch.stack(part), valid, items, options) for part in zip(*parts, strict=True))
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    answer = {"loss": loss, "task_loss": task_loss, "kl": kl, "gradient": gradient}
    given = {"name": name, "logits": plain(logits), "label": label.tolist(), "options": options}
    return given | {part: value.tolist() for part, value in answer.items()}


def class_options(options):
    weight = options.get("class_weight")
    weight = None if weight is None else torch.tensor(weight).double()
    return {"smoothing": options.get("label_smoothing", 0.0), "weight": weight}


def valid_items(label, items, options, marked):
    valid = torch.tensor(options.get("mask", torch.ones(items).tolist())).bool()
    if marked:
        valid &= label != options.get("ignore_index", -100)
    return valid.flatten()


def reduce(values, valid, items, options):
    reduction = options.get("reduction", "mean")
    if reduction == "none":
        return values.reshape(items)
    return values.sum() / (options.get("num_items", int(valid.sum())) if reduction == "mean" else 1)


def plain(logits):
    """Nested lists with null for -inf, which JSON has no word for."""
    if logits.ndim:
        return [plain(part) for part in logits]
    return float(logits) if logits.isfinite() else None


def main():
    cases = [solve(*case) for case in inputs()]
    PATH.write_text("[\n" + ",\n".join(json.dumps(case, allow_nan=False) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
