"""docs/correctness.md, made from the cells."""

import datetime
import platform

import accelerate
import torch
import transformers

from correctness.cells import BOUNDS, COLUMNS, TRAINED, TRAINED_BY_TWO
from correctness.methods import ALPHA, METHODS
from correctness.rows import ROWS, UNCOUNTED

COMMAND = "PYTHONPATH=tests python -m correctness"

HEADER = """\
# Correctness

R-Drop's gradient is the gradient of the paper's loss over the whole global batch, however it is cut into micro-batches
and processes. Each cell is the relative error |g - g*| / |g*| over all parameters: g is the gradient of one optimizer
step of a real `transformers.Trainer` with `attach` (the last three columns: of a plain loop), g* that of two forwards
and the paper's equation written by hand, in float64, on all samples at once. Dropout is on; its masks are a function of
the sample and the pass alone, so that both see the same. Models are tiny and random, alpha = {alpha:g}.

Written by `{command}` on {date}: Python {python},
torch {torch}, transformers {transformers}, accelerate {accelerate}, {machine}, CPU and gloo.
`tests/correctness` computes the cells of the first table again (compile: for four rows) and fails above 1e-5
(autocast: 2e-2), and when this page has other rows or columns.

- **single**: 7 samples at once; **accumulation 4**: micro-batches of 2, the last one short.
- **2 processes**: gloo, 4 samples each; **accumulation 2**: micro-batches of 2. Lengths are uneven, so the processes
  hold different numbers of items.
- **checkpointing**: not reentrant; **compile**: `torch.compile`, backend `aot_eager`; **autocast**: bfloat16 against
  the float64 reference, so the cell is bfloat16's own rounding.
- The fused output layer (`fused_head="auto"`) is at work in the language models.
- {uncounted}: their forward gets no `num_items_in_batch` (a `Trainer` counts
  `labels` alone, and only for a forward with `**kwargs`), so the `Trainer` averages the means of the micro-batches.
  That is the mean over all items where the micro-batches hold equally many, as here (8 samples); with a short last one
  it is not.
- Question answering takes its softmax over padding too, in transformers as here, so padding to another length is
  another loss; its samples have one length.

"""

OTHERS = """
## The stock Trainer and the copied recipe

The same error for plain training with the stock `Trainer` (one pass, no R-Drop, against its own cross-entropy over the
whole batch), and for the widely copied "RDropTrainer" (two forwards, mean cross-entropy + alpha * mean KL, against the
same formula over the whole batch; padding masked, which most copies forget). An error of 3 is a gradient 4 times too
large: most encoder heads take no notice of `num_items_in_batch`, and the `Trainer` then does not divide by the number
of micro-batches either. The stock error of GPT-2 at one batch is the first label of each row, which the `Trainer`
counts and nothing predicts; `attach` tells it.

"""

UNEVEN = """
## average_tokens_across_devices=False

With it off, each process divides by its own number of items, and DistributedDataParallel averages the means: the
result is the mean of the per-process means, not the mean over all items. It is what the option says; leave it on
(the default) for the loss of the paper.

| 2 processes | error to the mean over all items | error to the mean of the two means |
|---|---|---|
"""


def page(trained, looped, uneven):
    """The page; `trained` holds {column: {method: {row: cell}}}, `looped` {column: {row: cell}}."""
    ours = {column: methods["regdrop"] for column, methods in trained.items()} | looped
    header = HEADER.format(
        alpha=ALPHA,
        command=COMMAND,
        date=datetime.datetime.now(datetime.UTC).date(),
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        accelerate=accelerate.__version__,
        machine=platform.machine(),
        uncounted=" and ".join(sorted(UNCOUNTED)),
    )
    shared = (*TRAINED, *TRAINED_BY_TWO)
    others = [table({c: trained[c][name] for c in shared}, name) for name in list(METHODS)[1:]]
    off = [f"| {row} | {_text(whole)} | {_text(means)} |\n" for row, (whole, means) in uneven.items()]
    return "".join([header, table({c: ours[c] for c in COLUMNS}).rstrip("\n"), "\n", OTHERS, *others, UNEVEN, *off])


def table(columns, corner=""):
    """A Markdown table of {column: {row: cell}} with all rows."""
    lines = [[corner, *columns], ["---"] * (len(columns) + 1)]
    lines += [[row.name, *(_text(cells[row.name]) for cells in columns.values())] for row in ROWS]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _text(cell):
    if isinstance(cell, str):
        return cell
    return f"{cell:.2f}" if cell > 0.1 else f"{cell:.1e}"


def wrong_cells(columns):
    """The cells above their column's bound."""
    return {
        (column, row): cell
        for column, cells in columns.items()
        for row, cell in cells.items()
        if not isinstance(cell, str) and not cell <= BOUNDS[column]
    }
