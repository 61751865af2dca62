"""The methods of the table: this library, the stock Trainer, and the recipe that is copied from page to page."""

import copy

import transformers as hf
from torch.nn.functional import cross_entropy, kl_div, log_softmax, pad

from passes import two_pass
from passes.masks import per_sample_masks
from regdrop import attach

ALPHA = 2.0


class CopiedTrainer(hf.Trainer):
    """The "RDropTrainer" as it is copied: two forwards, mean cross-entropy + alpha * mean divergence, nothing scaled.

    Its padding is masked here, which most copies forget.
    """

    kind = "single_label"

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        first, second = model(**inputs).logits, model(**inputs).logits
        if self.kind == "causal":
            labels = pad(labels, (0, 1), value=-100)[..., 1:]
        valid = labels != -100
        p, q, labels = log_softmax(first[valid], -1), log_softmax(second[valid], -1), labels[valid]
        task = (cross_entropy(p, labels) + cross_entropy(q, labels)) / 2
        divergence = kl_div(p, q, reduction="none", log_target=True).sum(-1).mean()
        divergence += kl_div(q, p, reduction="none", log_target=True).sum(-1).mean()
        return task + ALPHA * divergence / 2


class Method:
    """One way to train: the Trainer's class, what is done to it, and the loss it stands for.

    Attributes:
        trainer_class: a transformers.Trainer.
        forwards: passes that are separate forwards.
    """

    trainer_class, forwards = hf.Trainer, 1

    def refuses(self, row):
        """Why a head cannot be trained with it, or None."""
        return

    def prepare(self, trainer):
        """Change a Trainer that has its model."""

    def expected(self, row, batch):
        """Gradients of its own loss as the mean over all items of a batch, by hand in float64."""
        model = row.model()
        return two_pass.reference(model, row.kind, batch, ALPHA)[3]


class Regdrop(Method):
    def prepare(self, trainer):
        attach(trainer, ALPHA)


class Stock(Method):
    """No R-Drop: one pass and the model's own loss."""

    def expected(self, row, batch):
        double = copy.deepcopy(row.model()).double()
        batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
        output = two_pass.run_pass(double, batch, 0)
        loss, _, _, count = two_pass.sums(row.kind, output, output, batch, 0.0)
        (loss / count / 2).backward()
        return two_pass.gradients(double)


class Copied(Method):
    trainer_class, forwards = CopiedTrainer, 2

    def refuses(self, row):
        if row.kind in ("regression", "multilabel", "qa"):
            return "no form for this head"
        return "fails: the decoder gets no input" if row.kind == "seq2seq" else None

    def prepare(self, trainer):
        trainer.kind = trainer.model.kind

    def expected(self, row, batch):
        """In its own scale: half the cross-entropies, so half of ours at twice the alpha."""
        found = two_pass.reference(row.model(), row.kind, batch, 2 * ALPHA)[3]
        return {name: value / 2 for name, value in found.items()}


METHODS = {"regdrop": Regdrop(), "stock Trainer": Stock(), "copied recipe": Copied()}


class GradientsOnly(hf.TrainerCallback):
    """Keeps the gradients of the first optimizer step."""

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.found = two_pass.gradients(getattr(model, "module", model))


def train_once(row, method, samples, folder, *, batch, accumulation, average=True):
    """Gradients of one optimizer step of a real Trainer over all samples, under per-sample masks."""
    from passes.tiny import collate

    model = row.model()
    model.kind = row.kind
    arguments = hf.TrainingArguments(
        str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        average_tokens_across_devices=average,
        max_steps=1,
        max_grad_norm=0.0,
        optim="sgd",
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
    )
    keeper = GradientsOnly()
    trainer = method.trainer_class(model, arguments, collate, samples, callbacks=[keeper])
    method.prepare(trainer)
    with per_sample_masks(model, forwards=method.forwards):
        trainer.train()
    return keeper.found
