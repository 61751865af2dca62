"""Compute every cell and write docs/correctness.md: `PYTHONPATH=tests python -m correctness`."""

import json
import tempfile
from pathlib import Path

from correctness.cells import TRAINED, looped_cells, trained_cells
from correctness.page import page
from correctness.processes import torchrun
from correctness.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "correctness.md"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        torchrun("correctness.pair", folder)
        pair = json.loads(Path(folder, "pair.json").read_text())
        trained = trained_cells(TRAINED, folder, [row.name for row in ROWS]) | pair["cells"]
        PAGE.write_text(page(trained, looped_cells(), pair["uneven"]))
