"""The bounds of docs/correctness.md, computed again; its stock and copied columns on three rows."""

import json
import re
from pathlib import Path

import pytest

from correctness.cells import COLUMNS, LOOPED, TRAINED, looped_cells, trained_cells
from correctness.methods import METHODS
from correctness.page import wrong_cells
from correctness.processes import torchrun
from correctness.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "correctness.md"
OTHERS = ["BERT sequence classification", "BERT token classification", "Llama causal LM"]
COMPILED = ["BERT token classification", "Llama causal LM", "T5 seq2seq", "own module"]
# peft asks transformers for an attribute by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return trained_cells(TRAINED, tmp_path_factory.mktemp("single"), OTHERS)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    torchrun("correctness.pair", folder, *OTHERS)
    return json.loads((folder / "pair.json").read_text())


def test_one_process(trained):
    assert wrong_cells({column: methods["regdrop"] for column, methods in trained.items()}) == {}


def test_two_processes(pair):
    assert wrong_cells({column: methods["regdrop"] for column, methods in pair["cells"].items()}) == {}


@pytest.mark.parametrize("column", LOOPED)
def test_what_changes_the_forward(column):
    assert wrong_cells(looped_cells([column], COMPILED if column == "compile" else None)) == {}


def test_the_others_are_wrong_where_the_page_says_so(trained, pair):
    cells = trained | pair["cells"]
    for name in ("stock Trainer", "copied recipe"):
        for row in OTHERS[:2]:
            assert cells["single"][name][row] < 1e-5
            assert cells["accumulation 4"][name][row] > 1
            assert cells["2 processes, accumulation 2"][name][row] > 0.5
    assert cells["accumulation 4"]["copied recipe"]["Llama causal LM"] > 1


def test_averaging_off_means_the_mean_of_the_means(pair):
    for whole, means in pair["uneven"].values():
        assert whole > 1e-3
        assert means < 1e-5


def test_the_page_has_these_rows_and_columns_and_no_cell_above_its_bound():
    first, *others = re.findall(r"(?:^\|.*\|\n)+", PAGE.read_text(), re.MULTILINE)
    header, _, *lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in first.splitlines()]
    assert header[1:] == list(COLUMNS)
    assert [line[0] for line in lines] == [row.name for row in ROWS]
    cells = {column: {line[0]: _number(line[at]) for line in lines} for at, column in enumerate(header[1:], start=1)}
    assert wrong_cells(cells) == {}
    assert [table.split("|")[1].strip() for table in others[: len(METHODS) - 1]] == list(METHODS)[1:]


def _number(text):
    return float(text) if re.fullmatch(r"[\d.e+-]+", text) else text
