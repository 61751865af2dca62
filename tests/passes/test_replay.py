"""A pass that is run again in backward: the bits of `sequential`, the activations of one pass."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed import HashStore, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.parametrizations import spectral_norm

from passes.live_bytes import LiveBytes
from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BY_NAME, CASES
from passes.two_pass import gradients, reference, relative_error
from regdrop import attach, paired_forward, r_drop_loss

BERT, CAUSAL = BY_NAME["BERT sequence classification"], BY_NAME["Llama causal LM"]


def step(model, batch, mode, seed=7, **options):
    """Loss, gradients and random state after one step."""
    model = copy.deepcopy(model)
    attach(model, alpha=2.0, mode=mode, **options)
    torch.manual_seed(seed)
    loss = model(**batch).loss
    loss.backward()
    return loss.detach(), gradients(model), torch.get_rng_state(), dict(model.named_buffers())


def assert_same_bits(model, batch, **options):
    found, expected = (step(model, batch, mode, **options) for mode in ("replay", "sequential"))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_bit_is_that_of_sequential(case, passes):
    assert_same_bits(case.model(), case.batch(4), passes=passes)


def test_the_bits_in_half_precision_though_backward_is_outside_of_autocast():
    model = CAUSAL.model()
    found = []
    for mode in ("replay", "sequential"):
        trained = copy.deepcopy(model)
        attach(trained, alpha=1.0, mode=mode)
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16):
            loss = trained(**CAUSAL.batch(4)).loss
        loss.backward()
        found.append(gradients(trained))
    torch.testing.assert_close(*found, rtol=0, atol=0)


@pytest.mark.parametrize("reentrant", [False, True])
def test_the_bits_with_gradient_checkpointing_inside(reentrant):
    model = BERT.model()
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    assert_same_bits(model, BERT.batch(4))


def test_the_bits_under_accumulation():
    model, batches = BERT.model(), [BERT.batch(4, seed) for seed in range(3)]
    found = []
    for mode in ("replay", "sequential"):
        trained = copy.deepcopy(model)
        attach(trained, alpha=1.0, mode=mode)
        torch.manual_seed(3)
        for batch in batches:
            trained(**batch, num_items_in_batch=12).loss.backward()
        found.append((gradients(trained), torch.get_rng_state()))
    torch.testing.assert_close(*found, rtol=0, atol=0)


def paired_step(model, x, mode):
    model = copy.deepcopy(model)
    torch.manual_seed(1)
    logits = paired_forward(model, x, mode=mode)
    r_drop_loss(logits, torch.zeros(len(x), dtype=torch.long), alpha=1.0).loss.backward()
    return gradients(model), {name: buffer.clone() for name, buffer in model.named_buffers()}


@pytest.mark.parametrize(
    "body",
    [
        nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)),
        spectral_norm(nn.Linear(8, 8)),
    ],
    ids=["batch norm", "spectral norm"],
)
def test_what_a_forward_writes_to_buffers_is_written_once_and_read_as_it_was(body):
    torch.manual_seed(0)
    model = nn.Sequential(body, nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).train()
    x = torch.randn(16, 8)
    found, expected = (paired_step(model, x, mode) for mode in ("replay", "sequential"))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    before = dict(model.named_buffers())
    assert any(not torch.equal(buffer, before[name]) for name, buffer in found[1].items())


def test_batch_norm_counts_two_passes():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    paired_forward(model, torch.randn(8, 4), mode="replay").sum().backward()
    assert model[0].num_batches_tracked == 2


def test_each_pass_but_the_last_runs_twice():
    model = Counted()
    attach(model, alpha=1.0, mode="replay", passes=3)
    loss = model(*own_batch())["loss"]
    assert (model.forwards, model.rows) == (3, 4)
    loss.backward()
    assert model.forwards == 5
    model.eval()(*own_batch())
    assert model.forwards == 6


def test_an_exception_in_an_earlier_pass_leaves_nothing_behind():
    model = Counted()
    attach(model, alpha=1.0, mode="replay")
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(4, 5), torch.zeros(4, dtype=torch.long))
    assert model(*own_batch())["logits"].shape == (4, 3)
    assert model.eval()(*own_batch())["logits"].shape == (4, 3)


def most_bytes(mode=None):
    torch.manual_seed(0)
    layers = [part for _ in range(8) for part in (nn.Linear(32, 32), nn.GELU(), nn.Dropout(0.1))]
    model = nn.Sequential(*layers, nn.Linear(32, 3))
    x, y = torch.randn(512, 32), torch.zeros(512, dtype=torch.long)
    with LiveBytes() as live:
        if mode is None:
            nn.functional.cross_entropy(model(x), y).backward()
        else:
            r_drop_loss(paired_forward(model, x, mode=mode), y, alpha=1.0).loss.backward()
    return live.most


def test_the_activations_of_one_pass_are_alive_at_once():
    plain = most_bytes()
    assert most_bytes("replay") < 1.1 * plain
    assert most_bytes("sequential") > 1.7 * plain


@pytest.fixture
def one_process():
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_distributed_gradients_are_exchanged_once_a_step_and_never_while_accumulating():
    model, batch = BERT.model(), BERT.batch(4)
    exchanged = []

    def hook(state, bucket):
        exchanged.append(bucket.buffer().numel())
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    wrapped = DistributedDataParallel(model)
    wrapped.register_comm_hook(None, hook)
    attach(wrapped, alpha=1.0, mode="replay")
    with wrapped.no_sync():
        wrapped(**batch).loss.backward()
    assert exchanged == []
    wrapped(**batch).loss.backward()
    assert sum(exchanged) == sum(parameter.numel() for parameter in model.parameters())


def test_a_compiled_model():
    model, batch = BERT.model(), BERT.batch(4)
    _, _, _, expected = reference(model, "single_label", batch, alpha=1.0)
    compiled = torch.compile(model, backend="eager")
    attach(compiled, alpha=1.0, mode="replay")
    with per_sample_masks(model, forwards=2):
        compiled(**batch).loss.backward()
    torch.compiler.reset()
    assert relative_error(gradients(model), expected) < 1e-5
