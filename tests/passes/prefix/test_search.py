"""Where the passes part, what is refused, and that looking for it leaves no trace."""

import copy
import logging

import pytest
import torch
from torch import nn

from passes.late import LATE, chain, keep_noise, late_vit
from passes.own import Counted
from passes.tiny import BY_NAME, GPT2
from regdrop import attach, paired_forward
from regdrop.errors import InputError, UnsupportedError

timm = pytest.importorskip("timm")


@pytest.fixture
def log(caplog):
    """What was said, one entry a line."""
    caplog.set_level(logging.INFO, "regdrop")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "regdrop"]


@pytest.mark.parametrize("late", LATE, ids=lambda late: f"{late.name} {late.split}")
def test_the_split_of_transformers(late, log):
    model = late.model()
    attach(model, alpha=1.0, share_prefix=True, fused_head=False)
    model(**late.batch(4))
    assert len(log()) == 1
    assert f"up to {late.split!r}, run once" in log()[0]


def test_the_split_of_a_vision_transformer_and_that_it_is_looked_for_once(log):
    model, x = late_vit(), torch.randn(4, 3, 16, 16)
    for _ in range(2):
        paired_forward(model, x, mode="shared")
    assert len(log()) == 1
    assert "up to 'blocks.4', run once" in log()[0]
    keep_noise(model, "head_drop")
    paired_forward(model, x, mode="shared")
    assert "up to 'head_drop', run once" in log()[1]


def test_functional_dropout_before_a_classifier(log):
    model = timm.create_model("resnet10t", num_classes=3, drop_rate=0.5).train()
    paired_forward(model, torch.randn(4, 3, 32, 32), mode="shared")
    assert "up to 'global_pool', run once" in log()[0]


@pytest.mark.parametrize("name", ["BERT sequence classification", "GPT-2 causal LM", "T5 seq2seq"])
def test_noise_in_the_embeddings_leaves_nothing_to_share_and_is_the_whole_batch_repeated(name, log):
    case, loss = BY_NAME[name], {}
    for mode in ("concat", "shared"):
        model = case.model()
        attach(model, alpha=1.0, mode=mode, fused_head=False)
        torch.manual_seed(1)
        loss[mode] = model(**case.batch(4)).loss
    assert torch.equal(loss["shared"], loss["concat"])
    assert len(log()) == 1
    assert "mode='shared' runs as 'concat': only 0 % of a forward come before" in log()[0]


def test_a_model_that_goes_by_the_rows_of_its_input_is_repeated_as_a_whole(log):
    import transformers as hf

    config = hf.GPT2Config(**GPT2, pad_token_id=0, num_labels=3)
    model = keep_noise(hf.GPT2ForSequenceClassification(config).train(), "h.1.")
    attach(model, alpha=1.0, mode="shared")
    assert model(**BY_NAME["BERT sequence classification"].batch(4)).logits.shape == (4, 3)
    assert "the passes cannot part at 'transformer.h.1': UnsupportedError: no gradient comes back" in log()[0]


def test_noise_that_no_rate_tells_of_is_found_by_the_trial(log):
    class Literal(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.drop, self.head = nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.drop(nn.functional.dropout(self.body(x), 0.3)))

    paired_forward(Literal(), torch.randn(4, 4), mode="shared")
    assert "runs as 'concat': the passes cannot part at 'drop': the passes are not those" in log()[0]


def test_a_residual_connection_around_the_noise_is_stepped_out_of(log):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.body = nn.Dropout(0.5), nn.Linear(4, 4)

        def forward(self, x):
            return x + self.drop(self.body(x))

    paired_forward(nn.Sequential(nn.Linear(4, 4), Residual()), torch.randn(4, 4), mode="shared")
    assert "up to '1', run once" in log()[0]


def test_a_model_with_a_sharded_part_is_repeated_as_a_whole(log):
    class FullyShardedDataParallel(nn.Linear):
        """Known by its name."""

    model = nn.Sequential(FullyShardedDataParallel(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    assert paired_forward(model, torch.randn(4, 4), mode="shared").shape == (2, 4, 2)
    assert "runs as 'concat': the model is sharded" in log()[0]


@pytest.mark.parametrize("mode", ["shared", "head"])
def test_looking_seeds_no_generator(mode, monkeypatch):
    """Those of devices that hold no part of the model would not be set back."""
    model = chain()
    monkeypatch.setattr(torch, "manual_seed", lambda seed: pytest.fail(f"seeded with {seed}"))
    paired_forward(model, torch.randn(4, 8), mode=mode)


def test_insisting_raises_where_falling_back_would_log():
    model = Counted()
    model.body = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
    x = torch.randn(4, 8)
    paired_forward(model, x, share_prefix="auto")
    with pytest.raises(UnsupportedError, match=r"share_prefix=True cannot be had: only 0 % .* use share_prefix='auto'"):
        paired_forward(model, x, share_prefix=True)
    with pytest.raises(InputError, match=r"share_prefix='body.9' names no module of Counted: did you mean 'body"):
        paired_forward(model, x, share_prefix="body.9")
    model.unused = nn.Linear(2, 2)
    with pytest.raises(UnsupportedError, match="'unused' is not called"):
        paired_forward(model, x, share_prefix="unused")


def test_a_named_module_after_noise_is_refused():
    with pytest.raises(UnsupportedError, match="the passes cannot part at '6': the passes are not those"):
        paired_forward(chain(), torch.randn(4, 8), share_prefix="6")


class Either(nn.Module):
    """A model that may leave its noise out."""

    def __init__(self):
        super().__init__()
        self.body, self.drop, self.head, self.rows = nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2), []
        self.body.register_forward_pre_hook(lambda module, args: self.rows.append(len(args[0])))

    def forward(self, x, skip=False):
        hidden = self.body(x)
        return self.head(hidden if skip else self.drop(hidden))


def test_a_forward_that_goes_another_way_is_repeated_as_a_whole_from_then_on(log):
    model, x = Either(), torch.randn(4, 4)
    paired_forward(model, x, mode="shared")
    assert model.rows[-1] == 4
    assert paired_forward(model, x, mode="shared", skip=True).shape == (2, 4, 2)
    assert "a forward did not come by 'drop'" in log()[-1]
    paired_forward(model, x, mode="shared")
    assert model.rows[-2:] == [8, 8]


@pytest.mark.parametrize("options", [{"mode": "head"}, {"share_prefix": True}, {"share_prefix": "drop"}])
def test_a_forward_that_goes_another_way_is_refused_where_the_place_is_insisted_on(options):
    model, x = Either(), torch.randn(4, 4)
    paired_forward(model, x, **options)
    with pytest.raises(UnsupportedError, match="this forward did not come by 'drop'"):
        paired_forward(model, x, skip=True, **options)
    assert paired_forward(model, x, **options).shape == (2, 4, 2)
    assert model.rows[-1] == 4


@pytest.mark.parametrize("mode", ["shared", "head"])
def test_looking_leaves_random_state_buffers_gradients_and_hooks_alone(mode):
    model, x = chain(), torch.randn(4, 8)
    twin = copy.deepcopy(model)
    paired_forward(twin, x, mode=mode)  # has looked
    twin.load_state_dict(model.state_dict())
    states = []
    for each in (model, twin):
        torch.manual_seed(7)
        paired_forward(each, x, mode=mode)
        states.append((torch.get_rng_state(), each.state_dict()))
        assert all(module.training for module in each.modules())
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in each.modules())
        assert all(parameter.grad is None for parameter in each.parameters())
    assert torch.equal(states[0][0], states[1][0])
    assert all(torch.equal(value, states[1][1][name]) for name, value in states[0][1].items())
    assert model[1].num_batches_tracked == 1
