"""The tables of hyper-parameters in docs/text_tasks.md are what the recipes have."""

from itertools import takewhile
from pathlib import Path

import pytest

from regdrop.training.recipe import load_recipe, recipe_names
from test_recipes import header

PAGE = Path(__file__).parent.parent / "docs" / "text_tasks.md"


def cells(line):
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def tables():
    """(recipe, {"section.key": what the page says}) for every line of every table."""
    lines = PAGE.read_text().splitlines()
    for start, line in enumerate(lines):
        if line.startswith("| recipe | `"):
            keys = cells(line)[1:]
            rows = takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
            yield from ((name, dict(zip(keys, values, strict=True))) for name, *values in map(cells, rows))


ROWS = list(tables())
PAPER = [name for name, said in ROWS if "rdrop.alpha" in said]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_row_of_a_table_is_its_recipe(name, row):
    recipe = load_recipe(name)
    for key, said in row.items():
        section, _, field = key.partition(".")
        has = getattr(getattr(recipe, section), field)
        if has is None:
            assert said == "", key
        elif isinstance(has, str):
            assert said == has, key
        else:
            assert float(said.replace(",", "")) == has, key


def test_every_text_recipe_of_the_paper_has_a_row():
    texts = [name for name in recipe_names() if load_recipe(name).task != "image_classification"]
    paper = [name for name in texts if not header(name)["Paper"].startswith("none")]
    assert set(paper) == set(PAPER)
    writing = {name for name in paper if load_recipe(name).task in ("translation", "summarization")}
    assert {name for name, said in ROWS if "model.beams" in said} == writing


@pytest.mark.parametrize("name", PAPER)
def test_nothing_that_was_not_run_claims_a_score(name):
    assert header(name)["Expected"] == header(name)["Minutes"] == "not run by us"
