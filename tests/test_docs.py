"""Everything written for readers is true: examples run, generated pages are fresh, the changelog knows the version."""

import doctest
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import regdrop
from regdrop.errors import MissingExtraError

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "regdrop"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.name != "__main__.py" and ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    try:
        module = import_module(name)
    except MissingExtraError as error:
        pytest.skip(str(error))
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert regdrop.__version__ == version
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()


README = ROOT / "README.md"
PAGES = sorted([README, *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [p for p in PAGES if "```python\n" in p.read_text()], ids=lambda p: p.name)
def test_python_blocks_run(page, tmp_path):
    """All blocks of a page run in order, as one script."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page, "python")))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


BEFORE_THE_DIFFS = """
import regdrop, torch
from regdrop import paired_forward, r_drop_loss
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

sizes = dict(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
model = BertForSequenceClassification(BertConfig(**sizes))
args = TrainingArguments("out", max_steps=2, report_to=[], disable_tqdm=True, use_cpu=True, save_strategy="no")
data = [{"input_ids": [1, 2, 3], "labels": 0}, {"input_ids": [4, 5, 6], "labels": 1}] * 8
"""
BETWEEN_THE_DIFFS = """
assert all("kl" in entry for entry in trainer.state.log_history if "loss" in entry)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 3))
before = model[0].weight.detach().clone()
optimizer = torch.optim.SGD(model.parameters(), 0.1)
loader = [(torch.randn(5, 4), torch.randint(3, (5,)))]
"""


def test_the_diffs_of_the_readme_run(tmp_path):
    """What a diff leaves standing is run: the lines that are added and those that stay."""
    after = ["\n".join(line[2:] for line in diff.splitlines() if line[:1] != "-") for diff in blocks(README, "diff")]
    trainer, loop = after
    code = "\n".join(
        [BEFORE_THE_DIFFS, trainer, BETWEEN_THE_DIFFS, loop, "assert not torch.equal(before, model[0].weight)"]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_readme_is_short_and_shows_its_use_early():
    lines = README.read_text().splitlines()
    assert len(lines) <= 150
    assert any(line.startswith("+") and "r_drop_loss" in line for line in lines[:30])
    assert any(line.startswith("+") and "attach" in line for line in lines[:30])


@pytest.mark.parametrize("name", ["conventions.md", "cli.md"])
def test_generated_pages_are_fresh(name):
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / name).read_text() == generate.PAGES[name](), "run: python docs/generate.py"


def test_the_readme_quotes_a_committed_comparison():
    """Every row and finding between the markers stands in the page that `regdrop compare` wrote."""
    quoted = README.read_text().partition("<!-- results -->")[2].partition("<!-- /results -->")[0]
    page = (ROOT / "docs" / "results" / "digits_vit" / "study.md").read_text().splitlines()
    rows = [line for line in quoted.splitlines() if line.startswith(("|", "- "))]
    assert len(rows) > 6
    assert [row for row in rows if row not in page] == []
