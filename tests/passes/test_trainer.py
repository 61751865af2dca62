"""attach on a transformers.Trainer."""

import pytest
import torch
import transformers as hf
from torch import nn

from passes.tiny import BY_NAME, collate
from regdrop import attach
from regdrop.errors import UnsupportedError

CASE = BY_NAME["BERT sequence classification"]


def trainer(tmp_path, model=None, case=CASE, **arguments):
    options = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2, "max_steps": 4, "logging_steps": 1}
    arguments = hf.TrainingArguments(
        str(tmp_path), report_to="none", save_strategy="no", disable_tqdm=True, use_cpu=True, **options | arguments
    )
    return hf.Trainer(case.model() if model is None else model, arguments, collate, case.samples(12))


class Reporter(hf.TrainerCallback):
    """What TensorBoard would be given."""

    def __init__(self):
        self.records = []

    def on_log(self, args, state, control, logs, **kwargs):
        self.records.append(dict(logs))


@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
def test_every_training_record_has_kl_and_task_loss(tmp_path):
    run, reporter = trainer(tmp_path), Reporter()
    run.add_callback(reporter)
    handle = attach(run, alpha=0.5)
    run.train()
    run.evaluate(CASE.samples(4))
    for records in (run.state.log_history, reporter.records):
        steps = [record for record in records if "loss" in record]
        assert len(steps) == 4
        for record in steps:
            assert record["kl"] > 0
            assert record["loss"] == pytest.approx(record["task_loss"] + 0.5 * record["kl"], rel=1e-3)
        assert all("kl" not in record for record in records if "loss" not in record)
    handle.remove()
    assert not any("RDrop" in type(callback).__name__ for callback in run.callback_handler.callbacks)
    assert not run.model._forward_hooks


def test_every_counts_optimizer_steps(tmp_path):
    run = trainer(tmp_path)
    attach(run, alpha=0.5, every=2)
    run.train()
    assert ["kl" in record for record in run.state.log_history if "loss" in record] == [True, False, True, False]


@pytest.mark.parametrize("before", [True, False])
def test_items_of_gpt2_are_counted_without_the_first_label(tmp_path, before):
    case = BY_NAME["GPT-2 causal LM"]
    model = case.model()
    handle = attach(model, alpha=1.0) if before else None
    run = trainer(tmp_path, model, case)
    handle = handle or attach(run, alpha=1.0)
    batch = collate(case.samples(4))
    assert run._get_num_items_in_batch([batch], "cpu") == (batch["labels"][:, 1:] != -100).sum()
    handle.remove()
    assert model.loss_type is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"label_smoothing_factor": 0.1}, r"label_smoothing_factor takes the labels .*attach\(..., label_smoothing"),
        ({}, "compute_loss_func takes the labels"),
    ],
)
def test_a_trainer_that_takes_the_labels_away_is_refused(tmp_path, arguments, reason):
    run = trainer(tmp_path, **arguments)
    if not arguments:
        run.compute_loss_func = lambda *args, **kwargs: torch.tensor(0.0)
    with pytest.raises(UnsupportedError, match=reason):
        attach(run, alpha=1.0)
    assert not run.model._forward_hooks


def test_a_trainer_that_makes_its_model_anew_is_refused(tmp_path):
    arguments = hf.TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    run = hf.Trainer(args=arguments, model_init=lambda trial: CASE.model())
    with pytest.raises(UnsupportedError, match="call attach on the model inside model_init"):
        attach(run, alpha=1.0)


def test_a_module_with_attributes_of_its_own_is_no_trainer():
    from regdrop.passes.trainer import is_trainer

    module = nn.Linear(2, 2)
    module.model = nn.Linear(2, 2)
    assert not is_trainer(module)
