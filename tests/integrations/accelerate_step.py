"""One step by the lines of docs/trainers.md: `torchrun --nproc-per-node 2 -m integrations.accelerate_step FILE`."""

import sys
from contextlib import nullcontext
from textwrap import dedent

import torch
from accelerate import Accelerator

from integrations.page import blocks
from passes.masks import per_sample_masks
from passes.tiny import BY_NAME, collate
from passes.two_pass import gradients
from regdrop import attach

TOKENS = BY_NAME["BERT token classification"]
ALPHA, ACCUMULATION, SAMPLES = 2.0, 2, 8


def lines():
    """The loop over the micro-batches of one step, word for word."""
    (code,) = [block for block in blocks() if "accelerator" in block]
    return dedent(code)


def main(file):
    """Two micro-batches each in two processes, all of uneven length; rank 0 writes its gradients."""
    accelerator = Accelerator(cpu=True)
    inner = TOKENS.model().double()
    attach(inner, ALPHA)
    model = accelerator.prepare(inner)
    rank, samples = accelerator.process_index, TOKENS.samples(SAMPLES)
    window = [collate(samples[2 * at : 2 * at + 2]) for at in (2 * rank, 2 * rank + 1)]
    names = {"accelerator": accelerator, "model": model, "window": window, "accumulation": ACCUMULATION}
    with per_sample_masks(inner):
        exec(lines(), names | {"nullcontext": nullcontext})  # noqa: S102 - this repository's own page
    if accelerator.is_main_process:
        torch.save(gradients(inner), file)
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
