"""The cells: relative gradient errors against two passes by hand, one function a kind of column."""

import torch
import torch.distributed as dist

from correctness.methods import ALPHA, METHODS, train_once
from correctness.rows import ROWS, samples_of
from passes.masks import per_sample_masks
from passes.tiny import collate
from passes.two_pass import gradients, relative_error
from regdrop import attach

# How a real Trainer is run: (micro-batch of each process, micro-batches a step).
TRAINED = {"single": (8, 1), "accumulation 4": (2, 4)}
TRAINED_BY_TWO = {"2 processes": (4, 1), "2 processes, accumulation 2": (2, 2)}
LOOPED = ("checkpointing", "compile", "autocast")
COLUMNS = (*TRAINED, *TRAINED_BY_TWO, *LOOPED)
BOUNDS = dict.fromkeys(COLUMNS, 1e-5) | {"autocast": 2e-2}
# Rows whose processes hold different numbers of items, so that the mean of their means is another one.
UNEVEN = ("BERT token classification", "Llama causal LM", "T5 seq2seq")


def trained_cells(columns, folder, others, processes=1):
    """What a real Trainer computes: {column: {method: {row: error or reason}}}.

    Args:
        columns: name to shape, as in `TRAINED`.
        folder: for the Trainers.
        others: names of the rows for the methods beside this library.
        processes: of this run.
    """
    return {
        column: {
            name: {
                row.name: _trained_cell(row, method, folder, processes, *shape)
                for row in ROWS
                if name == "regdrop" or row.name in others
            }
            for name, method in METHODS.items()
        }
        for column, shape in columns.items()
    }


def _trained_cell(row, method, folder, processes, batch, accumulation):
    reason = method.refuses(row)
    if reason is not None:
        return reason
    samples = samples_of(row, processes)
    found = train_once(row, method, samples, folder, batch=batch, accumulation=accumulation)
    return relative_error(found, method.expected(row, collate(samples)))


def uneven_cells(folder):
    """`average_tokens_across_devices=False` in two processes: {row: (error to the mean of all items, of two means)}."""
    cells = {}
    for row in (row for row in ROWS if row.name in UNEVEN):
        samples, method = samples_of(row, processes=2), METHODS["regdrop"]
        found = train_once(row, method, samples, folder, batch=4, accumulation=1, average=False)
        # Batches are dealt out in turn: with one of four samples a process, the first gets the first four.
        halves = [method.expected(row, collate(half)) for half in (samples[:4], samples[4:])]
        means = {name: (halves[0][name] + halves[1][name]) / 2 for name in halves[0]}
        cells[row.name] = relative_error(found, method.expected(row, collate(samples))), relative_error(found, means)
    dist.barrier()
    return cells


def looped_cells(columns=LOOPED, rows=None):
    """What changes the forward, in a plain loop, this library alone: {column: {row: error or reason}}."""
    return {
        column: {row.name: _looped_cell(row, column) for row in ROWS if rows is None or row.name in rows}
        for column in columns
    }


def _looped_cell(row, column):
    model, batch = row.model(), collate(samples_of(row))
    if column == "checkpointing" and not getattr(model, "supports_gradient_checkpointing", False):
        return "has no checkpointing"
    expected = METHODS["regdrop"].expected(row, batch)
    attach(model, ALPHA)
    with per_sample_masks(model):
        FORWARDS[column](model, batch).loss.backward()
    return relative_error(gradients(model), expected)


def _checkpointed(model, batch):
    model.activation_checkpointing_enable({"use_reentrant": False})
    return model(**batch)


def _compiled(model, batch):
    torch.compiler.reset()
    return torch.compile(model, backend="aot_eager")(**batch)


def _autocast(model, batch):
    with torch.autocast("cpu", torch.bfloat16):
        return model(**batch)


FORWARDS = {"checkpointing": _checkpointed, "compile": _compiled, "autocast": _autocast}
