"""The compiled formula is compiled once and right for every size and number."""

from dataclasses import replace

import pytest
import torch
from torch._inductor.utils import run_and_get_code

from regdrop.losses.kernels import Rows
from regdrop.losses.kernels.compiled import CHUNK_ELEMENTS, CHUNK_ELEMENTS_IN_PLACE, _program, compiled
from regdrop.losses.kernels.eager import eager


def case(items, classes, alpha=1.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, items, classes, generator=generator)
    target = torch.randint(classes, (items,), generator=generator)
    weight = torch.rand(items, generator=generator)
    weight[::3] = 0
    return Rows(logits, target, weight, alpha)


def compare(rows):
    grads = [torch.full_like(rows.logits, torch.nan) for _ in range(2)]
    got, expected = compiled(rows, grads[0]), eager(rows, grads[1])
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=5e-7)


def test_one_compilation_serves_every_size_and_alpha():
    torch.compiler.reset()
    compare(case(12, 10))
    compare(case(2000, 10))  # so many have a program of their own
    compare(case(300, 1000))  # and so many
    with torch.compiler.set_stance("fail_on_recompile"):
        sizes = [
            (5, 10, 1.5),
            (40, 10, 0.0),
            (7, 300, 1.5),
            (64, 3, 5.0),
            (128, 100, 0.5),
            (999, 30, 2.0),
            (700, 999, 0.5),
        ]
        for items, classes, alpha in sizes:
            compare(case(items, classes, alpha, seed=items))


def test_what_was_compiled_for_few_logits_does_not_serve_many_on_one_thread(monkeypatch):
    """The first size seen would say for all of them, in later processes too, how many threads there are."""
    made = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: made.append(options["options"]) or function)
    _program.cache_clear()
    for items in (12, 4000):
        compiled(case(items, 10), None)
    _program.cache_clear()
    assert made == [{"cpp.threads": 1}, {"cpp.dynamic_threads": True}]


def test_a_last_chunk_of_another_size(monkeypatch):
    monkeypatch.setitem(CHUNK_ELEMENTS, "cpu", 100)
    compare(case(13, 10))


@pytest.mark.parametrize("items", [12, 3000, 60_000])
@pytest.mark.parametrize("summed", [False, True])
def test_rows_that_weigh_the_same(items, summed):
    compare(replace(case(items, 10), weight=0.5, summed=summed))


@pytest.mark.parametrize("inplace", [False, True])
def test_only_the_gradient_is_written(inplace):
    rows = case(6, 10)
    before = rows.logits.clone()
    grad = rows.logits if inplace else torch.empty_like(rows.logits)
    compiled(rows, grad)
    expected = torch.empty_like(before)
    eager(case(6, 10), expected)
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-7)
    assert inplace or torch.equal(rows.logits, before)


def test_no_combination_of_options_is_left_uncompiled():
    """torch.compile gives up on a function after eight combinations, and says so to its log alone."""
    weights = {"class_weight": torch.rand(10)}
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        one = {"weight": 0.5, "summed": True}
        for options in ({}, {"target": None}, {"label_smoothing": 0.1}, {"summed": True}, one, weights):
            rows = replace(case(6, 10), **options)
            for grad in (None, torch.empty_like(rows.logits)):
                compiled(rows, grad)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": 0.5, "summed": True},
        {"label_smoothing": 0.1, "class_weight": torch.rand(1000)},
        {"target": torch.rand(600, 1000).softmax(-1)},
        {"logits": torch.randn(3, 600, 1000), "class_weight": torch.rand(1000)},
        {"target": None},
        {"logits": torch.randn(2, 600, 1000).bfloat16()},
    ],
    ids=["classes", "alike", "smoothed", "probabilities", "three passes", "divergence alone", "bfloat16"],
)
def test_many_logits_are_visited_in_one_loop_over_the_rows(options):
    """Else they are read from memory four times, and what is kept between the loops takes as much."""
    rows = replace(case(600, 1000), **options)
    probabilities = rows.target is not None and rows.target.ndim == 2  # are added up on their own for the value alone
    for grad, loops in ((torch.empty_like(rows.logits), 1), (None, 1 + probabilities)):
        torch.compiler.reset()
        _, (code,) = run_and_get_code(lambda grad=grad: compiled(rows, grad))
        assert code.count("#pragma omp for") == loops
    if rows.logits.dtype == torch.float32:
        compare(rows)


def test_many_logits_in_chunks_and_in_place(monkeypatch):
    rows = case(1300, 1000)
    monkeypatch.setitem(CHUNK_ELEMENTS_IN_PLACE, "cpu", 1_100_000)
    expected = torch.empty_like(rows.logits)
    wanted = eager(rows, expected)
    torch.testing.assert_close(compiled(rows, rows.logits), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rows.logits, expected, rtol=1e-5, atol=5e-7)
