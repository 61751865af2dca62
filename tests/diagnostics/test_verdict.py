"""The words for each case, and the arithmetic of the suggested alphas."""

from dataclasses import fields

import pytest

from regdrop.diagnostics.consistency import Consistency
from regdrop.diagnostics.layers import LayerNoise
from regdrop.diagnostics.verdict import judge

LAYERS = (LayerNoise("encoder.layer.3", 3, (0.1,), 0.02, 0.7), LayerNoise("", 1, (0.1,), 0.01, 0.3))


def found(kl, nll, disagreement=0.125):
    values = {field.name: 0.0 for field in fields(Consistency)}
    return Consistency(**values | {"pairwise_kl": kl, "sub_nll": nll, "pairwise_disagreement": disagreement})


def test_no_noise_repeats_how_to_switch_it_on():
    verdict = judge(found(0.0, 1.0), (), "Net would give the same output in every pass")
    assert (verdict.kind, verdict.text) == ("no noise", "Net would give the same output in every pass")
    assert verdict.alpha_low is verdict.alpha_high is None


def test_noise_that_the_output_does_not_show_yet():
    verdict = judge(found(0.0, 1.0), LAYERS, None)
    assert verdict.kind == "hidden noise"
    assert "LoRA" in verdict.text


def test_noise_of_no_known_kind_is_judged_by_what_it_does():
    assert judge(found(0.2, 1.0), (), "no dropout module at all").kind == "worthwhile"


def test_little_to_reduce():
    verdict = judge(found(0.001, 1.0, 0.0005), LAYERS, None)
    assert verdict.kind == "little"
    assert verdict.alpha_low is verdict.alpha_high is None
    for part in ("can do little", "KL 0.001 nats", "0.1% of pairs", "Even alpha = 5", "0.2% of the task loss"):
        assert part in verdict.text


def test_a_model_that_has_not_learned_yet_is_told_apart():
    verdict = judge(found(6.5e-5, 0.693, 0.259), LAYERS, None)
    assert (verdict.kind, verdict.alpha_low) == ("little", None)
    for part in ("undecided", "25.9% of pairs", "train some steps and diagnose again"):
        assert part in verdict.text


@pytest.mark.parametrize(
    ("kl", "nll", "low", "high"),
    [
        (0.2, 1.0, 1.0, 5.0),
        (0.7, 4.0, 0.8 / 0.7, 4.0 / 0.7),  # translation of the paper, early in training
        (0.1, 0.02, 0.1, 0.2),  # the lower end is kept within the paper's range
        (1.0, 0.01, 0.1, 0.1),
        (0.04, 1.0, 5.0, 5.0),
    ],
)
def test_alphas_make_the_added_term_a_tenth_to_a_half_of_the_task_loss(kl, nll, low, high):
    verdict = judge(found(kl, nll), LAYERS, None)
    assert verdict.kind == "worthwhile"
    assert (verdict.alpha_low, verdict.alpha_high) == pytest.approx((low, min(high, 5.0)))
    for part in ("something to reduce", "12.5% of pairs", "'encoder.layer.3' (70%", "heuristic", "0.1 to 5"):
        assert part in verdict.text
    assert f"alpha from {low:.2g} to" in verdict.text or f"alpha = {low:.2g}" in verdict.text


def test_noise_of_the_model_itself_has_a_name():
    assert "comes from the model itself (30%" in judge(found(0.2, 1.0), LAYERS[1:], None).text
