"""The table of hyper-parameters in docs/text_tasks.md is what the recipes have."""

from pathlib import Path

import pytest

from regdrop.training.recipe import load_recipe, recipe_names
from test_recipes import header

PAGE = Path(__file__).parent.parent / "docs" / "text_tasks.md"


def cells(line):
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def table():
    """Recipe -> {"section.key": what the page says}."""
    lines = PAGE.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| recipe | `"))
    _, *keys = cells(lines[start])
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *values = cells(line)
        rows[name] = dict(zip(keys, values, strict=True))
    return rows


TABLE = table()


@pytest.mark.parametrize("name", TABLE)
def test_a_row_of_the_table_is_its_recipe(name):
    recipe = load_recipe(name)
    for key, said in TABLE[name].items():
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
    assert set(paper) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_nothing_that_was_not_run_claims_a_score(name):
    assert header(name)["Expected"] == header(name)["Minutes"] == "not run by us"
