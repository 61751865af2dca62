"""The Lightning callback: real Trainers of both packages, gradients against two passes by hand in float64."""

import subprocess
import sys

import pytest
from torch.utils.data import DataLoader

from integrations import lightning_fit as fit
from integrations.pair import saved_by_two
from passes import two_pass
from passes.tiny import BY_NAME, collate
from regdrop.errors import InputError, NoNoiseError
from regdrop.integrations.lightning import RDropCallback

ONE_LABEL = BY_NAME["BERT sequence classification"]
PACKAGES = ["lightning.pytorch", "pytorch_lightning"]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
]


@pytest.fixture(params=PACKAGES)
def pl(request):
    return fit.library(request.param)


def expected(case, samples):
    """The gradient of the mean over all of these samples at once."""
    return two_pass.reference(case.model().double(), case.kind, collate(samples), fit.ALPHA)[3]


def test_accumulated_batches_of_one_size_give_the_gradient_of_the_whole(pl):
    samples = ONE_LABEL.samples(8)
    found = fit.update(pl, fit.plain_module(pl, ONE_LABEL.model().double()), samples, batch=2, accumulation=4)
    assert two_pass.relative_error(found, expected(ONE_LABEL, samples)) < 1e-9


def test_unevenly_many_tokens_give_a_mean_of_means(pl):
    """What the page says of the callback alone; it is not the gradient of the whole."""
    samples = fit.TOKENS.samples(4)
    found = fit.update(pl, fit.plain_module(pl, fit.TOKENS.model().double()), samples, batch=2, accumulation=2)
    halves = [expected(fit.TOKENS, part) for part in (samples[:2], samples[2:])]
    means = {name: (halves[0][name] + halves[1][name]) / 2 for name in halves[0]}
    assert two_pass.relative_error(found, means) < 1e-9
    assert two_pass.relative_error(found, expected(fit.TOKENS, samples)) > 1e-2


@pytest.mark.parametrize("count", [8, 6], ids=["whole window", "epoch ends within the window"])
def test_the_lines_of_the_page_are_exact(pl, count):
    """To the rounding of their scale, which is a float32."""
    samples = fit.TOKENS.samples(count)
    module = fit.exact_module(pl, fit.TOKENS.model().double())
    found = fit.update(pl, module, samples, batch=2, accumulation=4)
    assert two_pass.relative_error(found, expected(fit.TOKENS, samples)) < 1e-7


def test_the_lines_of_the_page_are_exact_in_two_processes(tmp_path):
    found = saved_by_two("integrations.lightning_fit", tmp_path / "update.pt")
    assert two_pass.relative_error(found, expected(fit.TOKENS, fit.TOKENS.samples(8))) < 1e-7


class Records:
    """A Lightning logger that keeps what it is given."""

    @staticmethod
    def of(pl):
        class Kept(pl.loggers.logger.DummyLogger):
            def __init__(self):
                super().__init__()
                self.kept = []

            def log_metrics(self, metrics, step=None):
                self.kept.append(dict(metrics))

        return Kept()


def test_records_are_means_over_all_steps_since_the_last_and_every_counts_optimizer_steps(pl):
    module, callback, records = fit.plain_module(pl, ONE_LABEL.model()), RDropCallback(1.0, every=2), Records.of(pl)
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            handle = callback.handle
            seen.append((handle.task_loss.item(), None if handle.kl is None else handle.kl.item()))

    options = fit.QUIET | {"logger": records, "callbacks": [callback, Watch()]}
    trainer = pl.Trainer(max_steps=8, accumulate_grad_batches=2, log_every_n_steps=4, **options)
    trainer.fit(module, DataLoader(ONE_LABEL.samples(32), 2, collate_fn=collate))
    assert [kl is None for _, kl in seen] == [False, False, True, True] * 4
    logged = [record for record in records.kept if "kl" in record]
    assert len(logged) == 2
    for record, batches in zip(logged, (seen[:8], seen[8:]), strict=True):
        kls = [kl for _, kl in batches if kl is not None]
        assert record["kl"] == pytest.approx(sum(kls) / len(kls), rel=1e-5)
        assert record["task_loss"] == pytest.approx(sum(task for task, _ in batches) / len(batches), rel=1e-5)


def bare_fit(pl, module, callback, **options):
    trainer = pl.Trainer(max_steps=1, callbacks=[callback], **fit.QUIET | options)
    trainer.fit(module, DataLoader(ONE_LABEL.samples(4), 2, collate_fn=collate))


def test_the_model_is_as_it_was_after_a_fit_and_after_a_failure(pl):
    module, callback = fit.plain_module(pl, ONE_LABEL.model()), RDropCallback(1.0)
    keys = list(module.state_dict())
    for _ in range(2):  # and it can be fitted again
        bare_fit(pl, module, callback)
        assert not module.model._forward_hooks
        assert callback.handle is None
        assert list(module.state_dict()) == keys

    def fail(batch):
        assert module.model._forward_hooks
        raise ZeroDivisionError

    module.training_step = fail
    with pytest.raises(ZeroDivisionError):
        bare_fit(pl, module, callback)
    assert not module.model._forward_hooks


@pytest.mark.parametrize("name", ["net", ""])
def test_a_missing_network_is_named_with_what_there_is(pl, name):
    with pytest.raises(InputError, match=rf"Plain holds no network '{name}' \(it holds: model\)"):
        bare_fit(pl, fit.plain_module(pl, ONE_LABEL.model()), RDropCallback(1.0, network=name))


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_a_network_in_eval_mode_is_refused(pl):
    """As from_pretrained returns it: Lightning trains it so, with a warning, and nothing would ever drop."""
    module = fit.plain_module(pl, ONE_LABEL.model().eval())
    with pytest.raises(NoNoiseError, match=r"'model' is in eval mode.*self.model.train\(\)"):
        bare_fit(pl, module, RDropCallback(1.0))
    assert not module.model._forward_hooks


def test_without_lightning_the_error_says_how_to_get_it():
    hidden = "import sys; sys.modules['lightning'] = sys.modules['pytorch_lightning'] = None"
    code = f"{hidden}; import regdrop.integrations.lightning"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == "regdrop.errors.MissingExtraError: lightning is not installed; run: pip install 'regdrop[lightning]'"
