"""One of two real processes: `torchrun --nproc-per-node 2 -m correctness.pair FOLDER [ROW ...]` writes pair.json."""

import json
import sys
from pathlib import Path

import torch.distributed as dist

from correctness.cells import TRAINED_BY_TWO, trained_cells, uneven_cells
from correctness.rows import ROWS


def main(folder, *others):
    """Compute all cells of two processes in one pair; `others` are the rows that the other methods train too."""
    cells = trained_cells(TRAINED_BY_TWO, folder, others or [row.name for row in ROWS], processes=2)
    uneven = uneven_cells(folder)
    if dist.get_rank() == 0:
        Path(folder, "pair.json").write_text(json.dumps({"cells": cells, "uneven": uneven}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
