"""GLUE's metrics against their definitions, written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdrop.tasks.glue import GLUE, METRICS, glue_score


def counts(answers, labels):
    pairs = list(zip(answers.tolist(), labels.tolist(), strict=True))
    return [pairs.count(pair) for pair in ((1, 1), (1, 0), (0, 1), (0, 0))]


def slow_f1(answers, labels):
    hits, false, missed, _ = counts(answers, labels)
    return 0.0 if hits == 0 else 2 * hits / (2 * hits + false + missed)


def slow_matthews(answers, labels):
    a, b, c, d = counts(answers, labels)
    root = math.sqrt((a + b) * (a + c) * (d + b) * (d + c))
    return 0.0 if root == 0 else (a * d - b * c) / root


def slow_pearson(x, y):
    dx, dy = x - x.mean(), y - y.mean()
    root = math.sqrt((dx**2).sum() * (dy**2).sum())
    return 0.0 if root == 0 else float((dx * dy).sum() / root)


def ranks(x):
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x], dtype=float)


bits = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40)
numbers = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=40)


@given(bits)
def test_metrics_of_classes(rows):
    answers, labels = np.array(rows).T
    assert glue_score("accuracy", answers, labels) == pytest.approx(np.mean(answers == labels))
    assert glue_score("f1", answers, labels) == pytest.approx(slow_f1(answers, labels))
    assert glue_score("matthews", answers, labels) == pytest.approx(slow_matthews(answers, labels), abs=1e-9)


@given(numbers)
def test_metrics_of_numbers(rows):
    answers, labels = np.array(rows, dtype=float).T
    assert glue_score("pearson", answers, labels) == pytest.approx(slow_pearson(answers, labels), abs=1e-9)
    spearman = slow_pearson(ranks(answers), ranks(labels))
    assert glue_score("spearman", answers, labels) == pytest.approx(spearman, abs=1e-9)


def test_equal_answers_have_no_correlation():
    same, labels = np.full(3, 2.5), np.array([0.0, 1.0, 5.0])
    assert [glue_score(metric, same, labels) for metric in ("pearson", "spearman")] == [0.0, 0.0]


def test_every_metric_is_known_and_eight_tasks_are_there():
    assert len(GLUE) == 8
    assert {metric for task in GLUE.values() for metric in task.metrics} == set(METRICS)
    assert {name for name, task in GLUE.items() if task.classes == 1} == {"stsb"}
