"""A real comparison of tiny runs: pairs share their seed, results are reproducible, interruptions change nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from regdrop.errors import InputError, RDropError, RecipeError
from regdrop.studies.catalogue import STUDIES
from regdrop.studies.metrics import COSTS
from regdrop.studies.options import Options
from regdrop.studies.result import read_study
from regdrop.studies.study import begin_study, run_study
from regdrop.training.recipe import load_recipe
from tiny import tiny_recipe

SEEDS = 2
ARMS = ["baseline", "r-drop", "baseline-x2"]
COMPARE = STUDIES["compare"]
INTERRUPTED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tiny import tiny_recipe
from regdrop.studies.catalogue import STUDIES
from regdrop.studies.options import Options
from regdrop.studies.study import run_study
if __name__ == "__main__":
    options = Options(seeds=2, equal_compute=True, workers=int(sys.argv[3]), progress=False)
    run_study(STUDIES["compare"], tiny_recipe(), Path(sys.argv[1]), options)
"""


def quick(**options):
    return Options(**{"seeds": SEEDS, "progress": False} | options)


def without_costs(study):
    """The JSON of a study without what the machine decides."""
    values = json.loads(study.to_json())
    for arm in values["arms"]:
        for outcome in arm["outcomes"]:
            for key in COSTS:
                outcome["metrics"].pop(key, None)
    return values


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return run_study(COMPARE, tiny_recipe(), out, quick(equal_compute=True)), out


def test_arms_seeds_steps_passes_and_compute(whole):
    study, out = whole
    assert [arm.name for arm in study.arms] == ARMS
    assert [(arm.steps, arm.passes, arm.compute) for arm in study.arms] == [(6, 1, 1), (6, 2, 2), (12, 1, 2)]
    assert [arm.alpha for arm in study.arms] == [None, 4.0, None]
    assert all([outcome.seed for outcome in arm.outcomes] == [0, 1] for arm in study.arms)
    assert sorted(path.parent.relative_to(out).as_posix() for path in out.rglob("summary.json")) == sorted(
        f"runs/{arm}/seed-{seed}" for arm in ARMS for seed in range(SEEDS)
    )


def test_differences_are_those_of_the_summaries(whole):
    study, out = whole

    def summary(arm, seed):
        return json.loads((out / "runs" / arm / f"seed-{seed}" / "summary.json").read_text())

    for contrast in study.contrasts:
        key, arms = contrast.metric, ("r-drop", contrast.reference)
        ours, theirs = ([summary(arm, seed)["test"][key] for seed in range(SEEDS)] for arm in arms)
        expected = [one - other for one, other in zip(ours, theirs, strict=True)]
        assert contrast.difference.mean == pytest.approx(sum(expected) / SEEDS)
    assert {contrast.reference for contrast in study.contrasts} == {"baseline", "baseline-x2"}
    for arm in study.arms:
        assert arm.outcomes[1].validation == summary(arm.name, 1)["validation"]


def test_the_folder_holds_the_recipe_and_the_numbers(whole):
    study, out = whole
    assert load_recipe(out) == tiny_recipe()
    assert read_study(out) == study
    assert study.command == "regdrop study compare recipe.yaml --seeds 2 --equal-compute"


def start(out, workers):
    tests = str(next(path for path in sys.path if path.endswith("tests")))
    script = out.with_suffix(".py")
    script.write_text(INTERRUPTED)
    command = [sys.executable, str(script), str(out), tests, str(workers)]
    return subprocess.Popen(command, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def is_alive(group):
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_study_continues_to_the_same_result(whole, tmp_path, workers):
    study, _ = whole
    out = tmp_path / "killed"
    process = start(out, workers)
    first = out / "runs" / "baseline" / "seed-0" / "summary.json"
    while not first.is_file():
        assert process.poll() is None, "the study ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 300
    while is_alive(process.pid):
        assert time.monotonic() < deadline, "workers outlive their study"
        time.sleep(0.1)
    assert not (out / "study.json").exists()
    written = first.stat().st_mtime_ns
    continued = run_study(COMPARE, tiny_recipe(), out, quick(equal_compute=True))
    assert without_costs(continued) == without_costs(study)
    assert first.stat().st_mtime_ns == written


def test_the_longer_baseline_is_trained_only_when_asked_for(whole, tmp_path):
    study = run_study(COMPARE, tiny_recipe(), tmp_path, quick(seeds=1))
    assert [arm.name for arm in study.arms] == ARMS[:2]
    assert study.arms[1].outcomes[0].metrics["loss"] == whole[0].arms[1].outcomes[0].metrics["loss"]


def test_a_sweep_chooses_on_validation_and_says_that_it_does_not_correct(tmp_path):
    study = run_study(STUDIES["alpha"], tiny_recipe(), tmp_path, quick(seeds=1, grid=(1.0, 0.5)))
    assert [arm.point for arm in study.arms] == [(), (0.5,), (1.0,), (4.0,)]
    assert {(contrast.treatment, contrast.reference) for contrast in study.contrasts} == {
        (f"alpha-{value}", "baseline") for value in ("0.5", "1", "4")
    }
    best = max(study.arms, key=lambda arm: arm.outcomes[0].validation["accuracy"])
    assert study.choice.arm == best.name
    assert study.choice.validation == best.outcomes[0].validation["accuracy"]
    assert any(caveat.startswith("3 pairs of arms are compared and no correction") for caveat in study.caveats)
    assert study.command == "regdrop study alpha recipe.yaml --seeds 1 --grid 1,0.5"


def test_sweeps_meet_a_baseline_of_their_own_compute(tmp_path):
    options = quick(seeds=1, grid=(2, 3), equal_compute=True)
    study = run_study(STUDIES["passes"], tiny_recipe(), tmp_path, options)
    assert [(arm.name, arm.steps) for arm in study.arms[3:]] == [("baseline-x2", 12), ("baseline-x3", 18)]
    pairs = dict.fromkeys((contrast.treatment, contrast.reference) for contrast in study.contrasts)
    assert list(pairs) == [
        ("passes-2", "baseline"),
        ("passes-3", "baseline"),
        ("passes-2", "baseline-x2"),
        ("passes-3", "baseline-x3"),
    ]


def test_the_kl_is_compared_too_where_it_is_watched(tmp_path):
    study = run_study(STUDIES["kl"], tiny_recipe(model__dropout=0.4), tmp_path, quick())
    assert "submodel_kl" in study.metrics
    baseline, r_drop = (arm.values("submodel_kl") for arm in study.arms)
    contrast = next(contrast for contrast in study.contrasts if contrast.metric == "submodel_kl")
    assert contrast.difference.mean == pytest.approx(sum(r_drop[seed] - baseline[seed] for seed in (0, 1)) / 2)
    assert study.caveats == (
        "The KL between sub-models is that of the validation part, at the weights that did best there.",
    )


def test_the_scale_of_the_loss_is_a_caveat_where_the_optimiser_feels_it(whole, tmp_path):
    assert whole[0].caveats == ()
    recipe = tiny_recipe(train__optimizer="sgd", train__max_grad_norm=1.0, rdrop__passes=3)
    sgd, clip = run_study(COMPARE, recipe, tmp_path, quick(seeds=1)).caveats
    assert sgd.startswith("Under SGD")
    assert clip.startswith("Clipping at norm 1 ")
    assert "about 3 times" in sgd


def test_a_study_without_a_pair_says_why_and_keeps_its_record(tmp_path):
    with pytest.raises(RDropError, match=r"no seed finished.*baseline, seed 0: failed.*loss is nan"):
        run_study(COMPARE, tiny_recipe(train__learning_rate=1e30), tmp_path, quick(seeds=1))
    assert len(read_study(tmp_path).failures) == 2


def test_a_folder_of_another_recipe_is_refused_before_anything_is_written(whole):
    _, out = whole
    before = (out / "recipe.yaml").read_text()
    with pytest.raises(RecipeError, match=r"recipe\.yaml differs from this recipe; pass another --out"):
        run_study(COMPARE, tiny_recipe(train__steps=7), out, quick())
    assert (out / "recipe.yaml").read_text() == before


def test_a_study_begun_before_a_setting_was_there_is_continued(tmp_path):
    begin_study(tmp_path, tiny_recipe())
    path = tmp_path / "recipe.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("  penalty: kl\n", ""))
    assert path.read_text() != whole
    begin_study(tmp_path, tiny_recipe())
    assert path.read_text() == whole


@pytest.mark.parametrize("options", [{"seeds": 0}, {"workers": 0}])
def test_no_seed_or_worker_is_refused(options):
    with pytest.raises(InputError, match="a study needs at least 1"):
        Options(**options)


def test_a_grid_is_refused_where_there_is_no_factor(tmp_path):
    with pytest.raises(InputError, match="the study compare has no grid"):
        run_study(COMPARE, tiny_recipe(), tmp_path, quick(grid=(1.0,)))
