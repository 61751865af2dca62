import pytest
import torch

from regdrop import attach
from regdrop.errors import RecipeError
from regdrop.tasks.models.causal_lm import CausalModel, build_causal_lm

SIZES = {"vocabulary": 40, "width": 16, "depth": 2, "heads": 2, "positions": 12}
MANY = ",".join(map(str, range(1, 9000)))  # 4 to the power of their number has more digits than Python prints
ARCHITECTURES = [
    {"architecture": "gpt2"},
    {"architecture": "transformer", "activation_dropout": 0.1},
    {"architecture": "adaptive", "cutoffs": "8,20", "softmax_dropout": 0.2},
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda settings: settings["architecture"])
def network(request):
    torch.manual_seed(0)
    return build_causal_lm(CausalModel(**SIZES, **request.param))


def test_it_does_not_see_what_comes_after(network):
    network.eval()
    tokens = torch.arange(4, 16).unsqueeze(0)
    changed = torch.where(torch.arange(12) < 6, tokens, 39)
    with torch.no_grad():
        first, second = network(input_ids=tokens).logits, network(input_ids=changed).logits
    torch.testing.assert_close(first[:, :6], second[:, :6])
    assert not torch.allclose(first[:, 6:], second[:, 6:])


def test_every_weight_learns_and_the_passes_part(network):
    handle = attach(network, alpha=1.0, fused_head=True)
    network.train()
    tokens = torch.arange(36).view(3, 12)
    network(input_ids=tokens, labels=tokens).loss.backward()
    assert handle.kl > 0
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 15}, "model.width 15 is not a multiple of model.heads 2"),
        ({"dropout": 1.5}, "model.dropout is 1.5"),
        ({"activation_dropout": 0.1}, "not for gpt2"),
        ({"architecture": "adaptive"}, "model.cutoffs must be whole numbers such as 20000,60000, but is None"),
        ({"architecture": "adaptive", "cutoffs": "a,b"}, "'a,b'"),
        ({"architecture": "adaptive", "cutoffs": "20,10"}, "must rise"),
        ({"architecture": "adaptive", "cutoffs": "10,40"}, "stay below model.vocabulary 40"),
        ({"architecture": "adaptive", "cutoffs": "5,9,11"}, "width 16 leaves nothing"),
        ({"architecture": "adaptive", "vocabulary": 9999, "cutoffs": MANY}, "width 16 leaves nothing"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        CausalModel(**SIZES | changes)


def test_the_initial_weights_are_fairseq_s():
    torch.manual_seed(0)
    sizes = {"vocabulary": 2000, "width": 64, "depth": 1, "heads": 2, "positions": 12}
    network = build_causal_lm(CausalModel(**sizes, architecture="transformer")).requires_grad_(False)
    layer = network.model.layers[0]
    xavier = (6 / (64 + 64)) ** 0.5
    assert float(layer.self_attn.out_proj.weight.abs().max()) == pytest.approx(xavier, rel=0.01)
    assert float(layer.self_attn.k_proj.weight.abs().max()) == pytest.approx(xavier / 2**0.5, rel=0.01)
    assert float(layer.fc1.weight.abs().max()) == pytest.approx((6 / (64 + 256)) ** 0.5, rel=0.01)
    assert float(network.get_input_embeddings().weight.std()) == pytest.approx(1 / 8, rel=0.02)
    assert network.lm_head.weight is network.get_input_embeddings().weight
