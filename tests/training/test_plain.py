"""The baseline's loss on every head: value and gradient against the mean over a whole batch, however it is split."""

import copy

import pytest
import torch
from torch.nn.functional import log_softmax, logsigmoid, pad

from passes.tiny import CASES, collate
from passes.two_pass import gradients, relative_error
from regdrop.tasks.models.vit import build_vit
from regdrop.tasks.task import Splits, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.numbered import NumberedItems
from regdrop.training.plain import PlainLoss
from regdrop.training.trainer import TaskTrainer
from tiny import tiny_recipe

HEADS = [case for case in CASES if case.kind != "qa"]
BERT, CAUSAL, BART = (
    next(case for case in CASES if case.name == name)
    for name in ("BERT sequence classification", "GPT-2 causal LM", "BART seq2seq")
)


def summed(kind, logits, labels, smoothing=0.0):
    """(sum over valid items of the loss, how many) in loops over items."""
    if kind == "regression":
        return sum((z - y) ** 2 for z, y in zip(logits.squeeze(-1), labels, strict=True)), len(labels)
    if kind == "multilabel":
        return -(labels * logsigmoid(logits) + (1 - labels) * logsigmoid(-logits)).sum(), labels.numel()
    if kind == "causal":
        logits, labels = logits[:, :-1], labels[:, 1:]
    total, count = logits.new_zeros(()), 0
    for z, y in zip(logits.flatten(0, -2), labels.flatten(), strict=True):
        if y != -100:
            log_p = log_softmax(z, 0)
            total = total - (1 - smoothing) * log_p[y] - smoothing * log_p.mean()
            count += 1
    return total, count


def reference(model, kind, samples, smoothing=0.0):
    """(loss, items, gradients) of all samples in one batch, in float64."""
    double, batch = copy.deepcopy(model).double(), collate(samples)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    if double.config.is_encoder_decoder:
        shifted = pad(batch["labels"], (1, -1), value=double.config.decoder_start_token_id)
        inputs["decoder_input_ids"] = shifted.masked_fill(shifted == -100, double.config.pad_token_id)
    inputs = {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}
    total, count = summed(kind, double(**inputs).logits, batch["labels"], smoothing)
    (total / count).backward()
    return (total / count).item(), count, gradients(double)


@pytest.mark.parametrize("case", HEADS, ids=lambda case: case.name)
def test_micro_batches_add_up_to_the_mean_over_the_whole_batch(case):
    model, samples = case.model().eval(), case.samples(6)
    loss, items, expected = reference(model, case.kind, samples)
    plain = PlainLoss(model)
    parts = [plain(model, collate(part), num_items=torch.tensor(items))[0] for part in (samples[:1], samples[1:])]
    sum(parts).backward()
    assert sum(parts).item() == pytest.approx(loss, rel=1e-5)
    assert relative_error(gradients(model), expected) < 1e-5


@pytest.mark.parametrize("case", [BERT, CAUSAL, BART], ids=lambda case: case.name)
def test_smoothed_labels(case):
    model, samples = case.model().eval(), case.samples(4)
    loss, _, expected = reference(model, case.kind, samples, smoothing=0.2)
    found, outputs = PlainLoss(model, label_smoothing=0.2)(model, collate(samples))
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-5)
    assert relative_error(gradients(model), expected) < 1e-5
    assert outputs.logits.shape[0] == 4


def trainer(model, tmp_path, plain, rounds):
    """One that has the model's own batches of two samples, `rounds` of them a step."""
    recipe = tiny_recipe(train__steps=1, train__batch_size=2 * rounds, train__micro_batch=2)
    arguments = training_arguments(recipe.train, tmp_path, seed=0)
    return TaskTrainer(find_task(recipe.task), Splits([], [], [], collate), model, arguments, recipe.train, plain=plain)


@pytest.mark.parametrize("case", [BERT, CAUSAL, BART], ids=lambda case: case.name)
def test_the_trainer_accumulates_to_the_gradient_of_the_whole_batch(case, tmp_path):
    model, samples = case.model(), case.samples(6)
    for module in model.modules():  # attention and dropout layers alike
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    _, _, expected = reference(model, case.kind, samples)
    made = trainer(model, tmp_path, PlainLoss(model), rounds=3)
    batches = iter([made.data_collator(NumberedItems([i, i + 1], samples[i : i + 2])) for i in (0, 2, 4)])
    window, items = made.get_batch_samples(batches, 3, torch.device("cpu"))
    made.current_gradient_accumulation_steps = 3
    made.create_optimizer_and_scheduler(1)
    for batch in window:
        made.training_step(model, batch, items)
    assert relative_error(gradients(model), expected) < 1e-5


def test_a_model_of_our_own():
    recipe = tiny_recipe()
    model = build_vit(recipe.model)
    batch = {"pixel_values": torch.rand(3, 1, 8, 8), "labels": torch.tensor([1, 2, 3])}
    loss, _ = PlainLoss(model)(model, batch)
    assert loss.item() == pytest.approx(model(**batch).loss.item())
