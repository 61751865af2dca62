"""A real comparison of tiny runs: pairs share their seed, results are reproducible, interruptions change nothing."""

import json
import signal
import subprocess
import sys
import time

import pytest

from regdrop.errors import InputError, RDropError
from regdrop.studies.compare import compare
from regdrop.training.recipe import load_recipe
from tiny import tiny_recipe

SEEDS = 2
ARMS = ["baseline", "r-drop", "baseline-equal-compute"]
INTERRUPTED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tiny import tiny_recipe
from regdrop.studies.compare import compare
compare(tiny_recipe(), Path(sys.argv[1]), seeds=2, equal_compute=True, progress=False)
"""


def without_times(comparison):
    """The JSON of a comparison without what a clock decides."""
    values = json.loads(comparison.to_json())
    for arm in values["arms"]:
        for outcome in arm["outcomes"]:
            del outcome["metrics"]["seconds"]
    return values


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return compare(tiny_recipe(), out, seeds=SEEDS, equal_compute=True, progress=False), out


def test_arms_seeds_steps_and_passes(whole):
    comparison, out = whole
    assert [arm.name for arm in comparison.arms] == ARMS
    assert [(arm.steps, arm.passes) for arm in comparison.arms] == [(6, 1), (6, 2), (12, 1)]
    assert all([outcome.seed for outcome in arm.outcomes] == [0, 1] for arm in comparison.arms)
    assert sorted(path.parent.relative_to(out).as_posix() for path in out.rglob("summary.json")) == sorted(
        f"runs/{arm}/seed-{seed}" for arm in ARMS for seed in range(SEEDS)
    )


def test_differences_are_those_of_the_summaries(whole):
    comparison, out = whole

    def test_metric(arm, seed, key):
        return json.loads((out / "runs" / arm / f"seed-{seed}" / "summary.json").read_text())["test"][key]

    for contrast in comparison.contrasts:
        expected = [
            test_metric("r-drop", seed, contrast.metric) - test_metric(contrast.reference, seed, contrast.metric)
            for seed in range(SEEDS)
        ]
        assert contrast.difference.mean == pytest.approx(sum(expected) / SEEDS)
    assert {contrast.reference for contrast in comparison.contrasts} == {"baseline", "baseline-equal-compute"}


def test_the_folder_holds_the_recipe_and_the_numbers(whole):
    comparison, out = whole
    assert load_recipe(out) == tiny_recipe()
    assert (out / "comparison.json").read_text() == comparison.to_json()


def test_a_killed_comparison_continues_to_the_same_result(whole, tmp_path):
    comparison, _ = whole
    out, tests = tmp_path / "killed", str(next(p for p in sys.path if p.endswith("tests")))
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(out), tests])
    first = out / "runs" / "baseline" / "seed-0" / "summary.json"
    while not first.is_file():
        assert process.poll() is None, "the comparison ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "comparison.json").exists()
    written = first.stat().st_mtime_ns
    continued = compare(tiny_recipe(), out, seeds=SEEDS, equal_compute=True, progress=False)
    assert without_times(continued) == without_times(comparison)
    assert first.stat().st_mtime_ns == written


def test_the_longer_baseline_is_trained_only_when_asked_for(whole, tmp_path):
    comparison = compare(tiny_recipe(), tmp_path, seeds=1, progress=False)
    assert [arm.name for arm in comparison.arms] == ARMS[:2]
    assert comparison.arms[1].outcomes[0].metrics["loss"] == whole[0].arms[1].outcomes[0].metrics["loss"]


def test_the_scale_of_the_loss_is_a_caveat_where_the_optimiser_feels_it(whole, tmp_path):
    assert whole[0].caveats == ()
    recipe = tiny_recipe(train__optimizer="sgd", train__max_grad_norm=1.0, rdrop__passes=3)
    sgd, clip = compare(recipe, tmp_path, seeds=1, progress=False).caveats
    assert sgd.startswith("Under SGD")
    assert clip.startswith("Clipping at norm 1 ")
    assert "about 3 times" in sgd


def test_a_comparison_without_a_pair_says_why_and_keeps_its_record(tmp_path):
    with pytest.raises(RDropError, match=r"no seed finished.*baseline, seed 0: failed.*loss is nan"):
        compare(tiny_recipe(train__learning_rate=1e30), tmp_path, seeds=1, progress=False)
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert all("NonFiniteError" in arm["outcomes"][0]["failure"] for arm in written["arms"])


def test_no_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot compare over 0 seeds"):
        compare(tiny_recipe(), tmp_path, seeds=0)
