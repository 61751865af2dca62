"""A process whose memory is limited for real: the advice, and the search for what fits."""

import re

from regdrop.training.recipe import load_recipe
from reliability.runs import words
from reliability.sessions import finish, start

WIDE = {"model__width": 64, "model__depth": 2, "model__patch_size": 1, "data__augmentation": "none"}
LARGE = {"train__steps": 2, "train__eval_every": 2, "train__batch_size": 512, "train__micro_batch": 512}
ROOM = 400 << 20  # bytes beside what importing takes; a step on 512 images takes over 600 MB


def begin(out, *more, **changes):
    line = [*words(out, **(WIDE | LARGE | {"train__eval_batch": 64} | changes)), *more]
    return start(line, out.with_suffix(".log"), memory=ROOM)


def test_too_little_memory_is_answered_with_advice(tmp_path):
    assert finish(begin(tmp_path / "run")) == [7]
    last = (tmp_path / "run.log").read_text().strip().splitlines()[-1]
    assert re.match(r"regdrop: the memory is short \(.*\); pass --train\.micro_batch 256 or --find-batch-size", last)
    assert "--rdrop.mode replay" in last


def test_a_micro_batch_whose_step_fits_is_found(tmp_path):
    """The run that follows has threads and evaluations beside its steps: near the limit it may be advised again."""
    out = tmp_path / "run"
    assert finish(begin(out, "--find-batch-size")) in ([0], [7]), (tmp_path / "run.log").read_text()
    found = load_recipe(out).train
    assert found.batch_size == 512
    assert found.micro_batch in (256, 128, 64, 32)
    tried = re.findall(r"a step with less at once: --train\.micro_batch (\d+)", (tmp_path / "run.log").read_text())
    assert int(tried[-1]) == found.micro_batch


def test_a_step_that_fits_is_left_as_it_is(tmp_path):
    out = tmp_path / "run"
    assert finish(begin(out, "--find-batch-size", train__batch_size=32, train__micro_batch=32)) == [0]
    assert load_recipe(out).train.micro_batch == 32
