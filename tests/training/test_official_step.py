"""The paper's recipe against the official training step, restated from its formula: loss, clipping, momentum, schedule.

Both see the same images in the same order and the same dropout masks, which are fixed so that both can have them.
"""

import json
import math
from itertools import chain

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div

from regdrop import paper_alpha
from regdrop.checkpoints.torch_file import read_torch
from regdrop.checkpoints.vit import convert, save_vit
from regdrop.tasks.images.labelled import ImageDataset
from regdrop.tasks.models.vit import build_vit
from regdrop.training import run
from regdrop.training.recipe import load_recipe
from vit_reference import official_logits

PAPER = "cifar100_vit_b16_paper"
ALPHA, MICRO, BATCH, ITEMS, STEPS, WARMUP, RATE = 0.3, 8, 16, 40, 20, 5, 0.1
SETTINGS = {
    "data.source": "digits",
    "data.train_limit": ITEMS,
    "data.validation": 100,
    "model.classes": 10,
    "model.channels": 1,
    "model.image_size": 8,
    "model.patch_size": 4,
    "model.width": 16,
    "model.depth": 2,
    "model.heads": 2,
    "rdrop.alpha": paper_alpha(ALPHA, "vit", micro_batch=MICRO),
    "train.steps": STEPS,
    "train.batch_size": BATCH,
    "train.micro_batch": MICRO,
    "train.learning_rate": RATE,
    "train.warmup_steps": WARMUP,
    "train.eval_every": STEPS,
    "train.precision": "fp32",
    "train.workers": 0,
}


def mask(width, place):
    """Which features a pass drops; one mask a pass, at every place of this width."""
    return torch.rand(width, generator=torch.Generator().manual_seed(place), dtype=torch.float64).gt(0.2) / 0.8


def fixed_dropout(self, x):
    """Dropout whose first half of the batch is the first pass and the second half the second."""
    if not self.training or not self.p:
        return x
    return torch.cat([half * mask(x.shape[-1], place).float() for place, half in enumerate(x.chunk(2))])


def factor(step):
    """Of the learning rate after so many updates: linear, then half a cosine."""
    if step < WARMUP:
        return step / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def official_loss(state, batch, alpha):
    """Mean cross-entropy of either pass, and both divergences summed over the micro-batch."""
    first, second = (
        official_logits(state, batch["pixel_values"], heads=2, drop=lambda x, k=k: x * mask(x.shape[-1], k))
        for k in range(2)
    )
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    divergence = kl_div(p, q, reduction="sum", log_target=True) + kl_div(q, p, reduction="sum", log_target=True)
    return cross_entropy(first, batch["labels"]) + cross_entropy(second, batch["labels"]) + alpha * divergence


def official_training(start, updates, alpha):
    """Weights and gradient norms after one update for each list of micro-batches."""
    state = {key: weight.double().requires_grad_() for key, weight in start.items()}
    speed = {key: torch.zeros_like(weight) for key, weight in state.items()}
    norms = []
    for step, micro_batches in enumerate(updates):
        loss = sum(official_loss(state, batch, alpha) for batch in micro_batches) / len(micro_batches)
        grads = dict(zip(state, torch.autograd.grad(loss, list(state.values())), strict=True))
        norms.append(math.sqrt(sum(grad.square().sum().item() for grad in grads.values())))
        scale = min(1.0, 1.0 / (norms[-1] + 1e-6))
        for key, weight in state.items():
            speed[key] = 0.9 * speed[key] + scale * grads[key]
            weight.data -= RATE * factor(step) * speed[key]
    return state, norms


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the paper's recipe from weights in a file: its folder, the weights, what it learnt from and in order."""
    folder, batches, orders = tmp_path_factory.mktemp("official"), [], []
    settings = SETTINGS | {"model.pretrained": folder / "start.bin"}
    recipe = load_recipe(PAPER, [f"--{key}={value}" for key, value in settings.items()])
    torch.manual_seed(1)  # from other weights the passes may stay nearer to each other than the test asks for
    save_vit(build_vit(recipe.model).state_dict(), folder / "start.bin")
    serve = ImageDataset.__getitems__

    def recorded(self, indices):
        batch = serve(self, indices)
        if len(self) == ITEMS:
            batches.append(batch)
            orders.append(list(indices))
        return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageDataset, "__getitems__", recorded)
        patch.setattr(nn.Dropout, "forward", fixed_dropout)
        run.train(recipe, folder / "run", seed=0, progress=False)
    return folder, batches, orders


def updates(batches):
    """What each update learns from: two micro-batches, and the odd one at the end of an epoch by itself."""
    a_epoch, rounds = ITEMS // MICRO, BATCH // MICRO
    epochs = [batches[i : i + a_epoch] for i in range(0, len(batches), a_epoch)]
    return [epoch[i : i + rounds] for epoch in epochs for i in range(0, len(epoch), rounds)][:STEPS]


def starting_weights(folder):
    """Those of the file, with the head of zeros that a new task gets."""
    start = read_torch(folder / "start.bin")
    return start | {key: torch.zeros_like(start[key]) for key in ("head.weight", "head.bias")}


def records(folder):
    lines = (folder / "run" / "records.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "loss" in line]


def distance(folder, wanted):
    convert(folder / "run" / f"checkpoint-{STEPS}" / "model.safetensors", folder / "end.bin")
    ours = read_torch(folder / "end.bin")
    assert ours.keys() == wanted.keys()
    return max((ours[key] - wanted[key]).abs().max().item() for key in wanted)


def test_twenty_steps_end_at_the_official_weights(trained):
    folder, batches, _ = trained
    wanted, norms = official_training(starting_weights(folder), updates(batches), ALPHA)
    assert distance(folder, wanted) < 1e-5
    ours = records(folder)
    assert [line["grad_norm"] for line in ours] == pytest.approx(norms, rel=1e-4)
    assert max(norms) > 2  # far more than it is clipped to
    assert max(line["kl"] for line in ours) > 0.01


def test_the_comparison_notices_the_strength_and_the_end_of_an_epoch(trained):
    folder, batches, _ = trained
    start = starting_weights(folder)
    assert distance(folder, official_training(start, updates(batches), 0.9 * ALPHA)[0]) > 1e-3
    leaking = [batches[i : i + 2] for i in range(0, 2 * STEPS, 2)]  # the odd micro-batch joins the next epoch's first
    assert distance(folder, official_training(start, leaking[: len(batches) // 2], ALPHA)[0]) > 1e-3


def test_every_epoch_has_an_order_of_its_own(trained):
    _, _, orders = trained
    epochs = [list(chain(*orders[i : i + ITEMS // MICRO])) for i in range(0, len(orders), ITEMS // MICRO)]
    whole = [epoch for epoch in epochs if len(epoch) == ITEMS]
    assert len(whole) >= 6
    assert all(sorted(epoch) == list(range(ITEMS)) for epoch in whole)
    assert len({tuple(epoch) for epoch in whole}) == len(whole)


def test_the_recorded_rate_is_the_one_that_was_used(trained):
    folder, _, _ = trained
    wanted = [RATE * factor(step) for step in range(STEPS)]
    assert [line["lr"] for line in records(folder)] == pytest.approx(wanted, abs=1e-12)
