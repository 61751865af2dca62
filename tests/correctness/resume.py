"""Training with accelerate that saves, may be killed, and resumes: `-m correctness.resume FOLDER NAME DIE_AT`."""

import os
import signal
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from passes.tiny import BY_NAME, collate
from regdrop import attach

CASE = BY_NAME["BERT sequence classification"]
STEPS, SAVE_EVERY, ACCUMULATION = 9, 3, 2


def main(folder, name, die_at):
    """Train to the end from the last saved state if there is one; the process kills itself before step `die_at`."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATION)
    model = CASE.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    # A generator of its own: an iterator draws a seed when it is made, which would move the restored random state.
    own = torch.Generator().manual_seed(0)
    loader = DataLoader(CASE.samples(16) * STEPS, batch_size=4, collate_fn=collate, generator=own)
    attach(model, alpha=1.0)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    torch.manual_seed(5 + accelerator.process_index)
    state = Path(folder, "state" if die_at != "never" or name == "resumed" else "unused")
    done = _restore(accelerator, state)
    loader = accelerator.skip_first_batches(loader, done * ACCUMULATION)
    for number, batch in enumerate(loader, start=done * ACCUMULATION):
        step = number // ACCUMULATION
        if str(step) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with accelerator.accumulate(model):
            accelerator.backward(model(**batch).loss)
            optimizer.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients and (step + 1) % SAVE_EVERY == 0:
            accelerator.save_state(str(state / f"step-{step + 1}"))
    if accelerator.is_main_process:
        torch.save(accelerator.unwrap_model(model).state_dict(), Path(folder, f"{name}.pt"))
    accelerator.end_training()


def _restore(accelerator, state):
    """Steps done before; the newest state is loaded where there is one."""
    saved = sorted(state.glob("step-*")) if state.exists() else []
    if not saved:
        return 0
    accelerator.load_state(str(saved[-1]))
    return int(saved[-1].name.removeprefix("step-"))


if __name__ == "__main__":
    main(*sys.argv[1:])
