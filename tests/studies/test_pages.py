"""The committed studies: their differences are recomputed from their runs, and docs/studies.md quotes what they say."""

import re
from pathlib import Path

import pytest

from regdrop.studies.choice import choose
from regdrop.studies.contrasts import contrast_arms
from regdrop.studies.result import read_study
from regdrop.tasks.task import find_task
from regdrop.training.recipe import load_recipe

DOCS = Path(__file__).parent.parent.parent / "docs"
FOLDERS = sorted(path.parent for path in (DOCS / "studies").glob("*/study.json"))
QUOTE = re.compile(r"^- .*?: (.*) \(\[.*\]\((.*)\)\)$", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_differences_and_choices_follow_from_the_runs(folder):
    study = read_study(folder)
    pairs = dict.fromkeys((contrast.treatment, contrast.reference) for contrast in study.contrasts)
    assert study.contrasts == contrast_arms((study.arm(ours), study.arm(theirs)) for ours, theirs in pairs)
    assert not study.failures
    if study.choice:
        task, recipe = find_task("image_classification"), load_recipe(folder)
        assert study.choice == choose(task.best(recipe.data), task.higher_is_better, study.arms)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_page_says_what_the_numbers_say_and_how_to_repeat_them(folder):
    study, page = read_study(folder), (folder / "study.md").read_text()
    for sentence in (*(contrast.finding for contrast in study.contrasts), *study.costs, *study.caveats, study.command):
        assert sentence in page
    assert load_recipe(folder).name == study.recipe
    assert all(path.stat().st_size < 100_000 for path in folder.iterdir())


def test_the_summary_quotes_the_pages():
    quotes = QUOTE.findall((DOCS / "studies.md").read_text())
    assert len(quotes) >= len(FOLDERS) > 0
    for sentence, page in quotes:
        assert sentence in (DOCS / page).read_text()


@pytest.mark.parametrize(
    ("page", "begins", "ends", "folder"),
    [
        ("cost.md", "What the approximate ways gain", "The two ways", "cost_fashion_mnist"),
        ("reproduction.md", "A study of both readings", "It says nothing", "alpha_readings"),
    ],
)
def test_other_pages_quote_the_numbers_of_a_study(page, begins, ends, folder):
    quoted = (DOCS / page).read_text().partition(begins)[2].partition(ends)[0]
    numbers = re.findall(r"[\d.]+ ± [\d.]+", quoted)
    assert len(numbers) >= 3
    shown = (DOCS / "studies" / folder / "study.md").read_text()
    assert all(number in shown for number in numbers)
