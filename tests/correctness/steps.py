"""Twenty steps of plain, DDP or FSDP2 training on the same global batches: `-m correctness.steps FOLDER`."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from passes.late import keep_noise
from passes.masks import per_sample_masks
from passes.tiny import BY_NAME, collate
from regdrop import attach

CASE = BY_NAME["BERT token classification"]
STEPS, BATCH = 20, 4


def batch_of(step, rank, processes):
    """This process's share of a step's four samples, padded to its own longest, and the items of all four."""
    samples = CASE.samples(BATCH, seed=step)
    items = sum(int((sample["labels"] != -100).sum()) for sample in samples)
    share = BATCH // processes
    return collate(samples[rank * share : (rank + 1) * share]), items


def _sharded(model):
    for layer in model.bert.encoder.layer:
        fully_shard(layer)
    return fully_shard(model)


WRAPPERS = {"plain": lambda model: model, "ddp": DistributedDataParallel, "fsdp2": _sharded}
# How the model is wrapped, whether R-Drop is attached before that or after, and the mode.
KINDS = [
    *((wrapper, before, "concat") for wrapper in ("ddp", "fsdp2") for before in (True, False)),
    ("ddp", True, "replay"),
    ("fsdp2", True, "replay"),
    ("ddp", True, "shared"),
    ("fsdp2", True, "shared"),
]


def model_for(mode):
    """In float64, so that only the order of sums can differ; a shared prefix needs noise that starts late."""
    model = CASE.model().double()
    return keep_noise(model, "layer.1.") if mode == "shared" else model


def train(wrapper, before=True, mode="concat", rank=0, processes=1, model=None):
    """Parameters after all steps."""
    model = model or model_for(mode)
    if before:
        attach(model, alpha=1.0, mode=mode)
    trained = WRAPPERS[wrapper](model)
    if not before:
        attach(trained, alpha=1.0, mode=mode)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2)
    with per_sample_masks(model, forwards=2 if mode == "replay" else 1, rows_of=2 if mode == "shared" else 1):
        for step in range(STEPS):
            batch, items = batch_of(step, rank, processes)
            # Both wrappers average the gradients of the processes, so each loss is its share times their number.
            (processes * trained(**batch, num_items_in_batch=items).loss).backward()
            optimizer.step()
            optimizer.zero_grad()
    return {name: _whole(parameter.detach()) for name, parameter in model.named_parameters()}


def _whole(parameter):
    return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter.clone()


def main(folder):
    dist.init_process_group("gloo")
    for kind in KINDS:
        parameters = train(*kind, dist.get_rank(), dist.get_world_size())
        if dist.get_rank() == 0:
            torch.save(parameters, Path(folder, f"{kind}.pt"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
