"""One optimizer step of a real Lightning Trainer under per-sample masks; in two processes as a module of torchrun's.

`torchrun --nproc-per-node 2 -m integrations.lightning_fit FILE` writes the update of rank 0 there.
"""

import importlib
import sys
import warnings

import torch
from torch.utils.data import DataLoader

from integrations.page import blocks
from passes.masks import per_sample_masks
from passes.tiny import BY_NAME, collate
from regdrop.integrations.lightning import RDropCallback

ALPHA = 2.0
TOKENS = BY_NAME["BERT token classification"]
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def library(package):
    return importlib.import_module(package)


def plain_module(pl, model):
    """The least LightningModule that trains a transformers model."""

    class Plain(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch):
            return self.model(**batch).loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1.0)

    return Plain()


def exact_module(pl, model):
    """The LightningModule of docs/trainers.md, word for word."""
    (code,) = [block for block in blocks() if block.startswith("class")]
    names = {"lightning": pl, "torch": torch}
    exec(code, names)  # noqa: S102 - this repository's own page
    module = names["Tokens"](model)
    module.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=1.0)
    return module


def update(pl, module, samples, batch, accumulation, **options):
    """What one step at learning rate 1 takes from the parameters, by name: the gradient."""

    class Masked(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            self.masks = per_sample_masks(pl_module.model)
            self.masks.__enter__()

        def on_train_end(self, trainer, pl_module):
            self.masks.__exit__(None, None, None)

    before = {name: value.detach().clone() for name, value in module.model.named_parameters()}
    trainer = pl.Trainer(
        max_steps=1,
        accumulate_grad_batches=accumulation,
        callbacks=[RDropCallback(ALPHA), Masked()],
        **QUIET | {"devices": 1} | options,
    )
    trainer.fit(module, DataLoader(samples, batch, collate_fn=collate))
    changes = {name: before[name] - value.detach() for name, value in module.model.named_parameters()}
    return {name: change for name, change in changes.items() if change.any()}


def main(file):
    """The step of docs/trainers.md in two processes: two batches each of two samples of uneven length."""
    warnings.filterwarnings("ignore", ".*does not have many workers")
    pl = library("lightning.pytorch")
    module = exact_module(pl, TOKENS.model().double())
    found = update(pl, module, TOKENS.samples(8), 2, 2, devices=2, strategy="ddp")
    if module.global_rank == 0:
        torch.save(found, file)


if __name__ == "__main__":
    main(sys.argv[1])
