"""What an encoder-decoder writes for a whole part of the data."""

from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import nn
from tqdm import tqdm

from regdrop.tasks.tokens.pairs import PairDataset, collate


def generate(network: nn.Module, part: PairDataset, *, batch: int, progress: bool = False) -> list[str]:
    """Write an output for every source of a part, in its order, without dropout.

    Texts of like length are read together; several processes share the batches.

    Args:
        network: a transformers encoder-decoder; its `generation_config` describes the beam search.
        part: what to read, and the tokenizer to write with.
        batch: sources to read at once.
        progress: show a bar on standard error.
    """
    state = PartialState()
    longest_first = np.argsort(-part.lengths, kind="stable").tolist()
    batches = [longest_first[start : start + batch] for start in range(0, len(part), batch)]
    mine = batches[state.process_index :: state.num_processes]
    hidden = not (progress and state.is_main_process)
    was_training = network.training
    network.eval()
    try:
        written = [
            (index, text)
            for chosen in tqdm(mine, desc="writing", unit="batch", leave=False, disable=hidden)
            for index, text in zip(chosen, _write(network, part, chosen), strict=True)
        ]
    finally:
        network.train(was_training)
    return [text for _, text in sorted(gather_object(written))]


def _write(network: Any, part: PairDataset, chosen: list[int]) -> list[str]:
    inputs = collate([part[index] for index in chosen])
    device = next(network.parameters()).device
    with torch.inference_mode():
        ids = network.generate(inputs["input_ids"].to(device), attention_mask=inputs["attention_mask"].to(device))
    return [text.strip() for text in part.tokenizer.decode_batch(ids.tolist())]
