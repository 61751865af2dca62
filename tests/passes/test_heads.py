"""Which loss a head needs."""

import pytest
import torch
import transformers as hf
from torch import nn

from passes.tiny import BASE, CASES
from regdrop.errors import UnsupportedError
from regdrop.passes.heads import ANY_CLASSIFIER, HEADS, Head, decided_task, find_head

EXPECTED = {
    "single_label": ANY_CLASSIFIER,
    "regression": ANY_CLASSIFIER,
    "multilabel": ANY_CLASSIFIER,
    "image": ANY_CLASSIFIER,
    "tokens": HEADS["classification"],
    "masked_lm": HEADS["classification"],
    "choices": HEADS["classification"],
    "qa": HEADS["question_answering"],
    "causal": HEADS["causal_lm"],
    "seq2seq": HEADS["seq2seq_lm"],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_head_is_read_off_the_class(case):
    assert find_head(case.model()) == EXPECTED[case.kind]


def test_a_subclass_has_the_head_of_its_parent():
    class Mine(hf.BertForTokenClassification):
        pass

    assert find_head(Mine(hf.BertConfig(**BASE))) == HEADS["classification"]


@pytest.mark.parametrize(
    ("model_class", "config"),
    [
        (hf.BertForPreTraining, hf.BertConfig(**BASE)),
        (hf.BartForCausalLM, hf.BartConfig(d_model=8, decoder_layers=1, decoder_attention_heads=1, vocab_size=9)),
        (hf.XLMWithLMHeadModel, hf.XLMConfig(emb_dim=8, n_layers=1, n_heads=1)),
        (hf.ProphetNetForConditionalGeneration, hf.ProphetNetConfig(hidden_size=16)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_heads_with_another_loss_are_refused(model_class, config):
    with torch.device("meta"):
        model = model_class(config)
    with pytest.raises(UnsupportedError, match=f"{model_class.__name__} has no head whose R-Drop loss is known"):
        find_head(model)
    assert find_head(model, "causal_lm").shifts


class Own(nn.Module):
    def forward(self, x, targets=None, **options):
        return x


def test_models_of_ones_own_classify_unless_told_otherwise():
    assert find_head(Own(), labels="targets") == Head(labels=("targets",))
    assert find_head(Own(), "regression", "targets") == Head("regression", labels=("targets",))
    with pytest.raises(UnsupportedError, match=r"Linear.forward\(input\) takes no labels"):
        find_head(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("problem", "outputs", "labels", "task"),
    [
        (None, 1, torch.zeros(4), "regression"),
        (None, 3, torch.zeros(4, dtype=torch.long), "classification"),
        (None, 3, torch.zeros(4, 3), "multilabel"),
        ("regression", 3, torch.zeros(4, 3), "regression"),
        ("multi_label_classification", 3, torch.zeros(4, 3), "multilabel"),
        ("single_label_classification", 1, torch.zeros(4, dtype=torch.long), "classification"),
    ],
)
def test_a_sequence_classifier_is_decided_as_transformers_does(problem, outputs, labels, task):
    model = nn.Identity()
    model.config = hf.PretrainedConfig(problem_type=problem)
    assert decided_task(ANY_CLASSIFIER, model, torch.zeros(2, 4, outputs), labels) == task
    assert decided_task(HEADS["regression"], model, torch.zeros(2, 4, outputs), labels) == "regression"
