from itertools import pairwise, product

import pytest
import torch
from torch.nn import functional

from regdrop.errors import CheckpointError, RecipeError
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel, build_encoder_decoder, load_pretrained
from regdrop.tasks.tokens.bpe import EOS, PAD
from regdrop.tasks.tokens.pairs import collate

SIZES = {"vocabulary": 40, "width": 16, "feed_forward": 32, "layers": 2, "heads": 2, "positions": 24}
ARCHITECTURES = ["transformer", "bart"]


def build(**changes):
    torch.manual_seed(0)
    return build_encoder_decoder(EncoderDecoderModel(**SIZES | changes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_source_target_and_output_share_one_table(architecture):
    network = build(architecture=architecture)
    tables = {id(network.get_input_embeddings().weight), id(network.get_output_embeddings().weight)}
    tables.add(id(network.model.decoder.embed_tokens.weight))
    assert len(tables) == 1
    table = 40 * 16
    assert table <= sum(weight.numel() for weight in network.parameters()) - 2 * 24 * 16 < 40 * 16 * 20


def test_the_transformer_starts_as_fairseq_s():
    network = build(vocabulary=4000, width=64, heads=4)
    table = network.get_input_embeddings().weight
    assert table.std().item() == pytest.approx(64**-0.5, rel=0.02)
    assert not table[PAD].any()
    layer = network.model.encoder.layers[0].fc1
    assert layer.weight.abs().max().item() == pytest.approx((6 / (64 + 32)) ** 0.5, rel=0.02)
    assert not layer.bias.any()
    attention = network.model.decoder.layers[0].encoder_attn
    xavier = (6 / (64 + 64)) ** 0.5
    assert attention.out_proj.weight.abs().max().item() == pytest.approx(xavier, rel=0.02)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        assert projection.weight.abs().max().item() == pytest.approx(xavier / 2**0.5, rel=0.02)


def test_rates_land_in_every_layer():
    network = build(dropout=0.3, attention_dropout=0.2, activation_dropout=0.1)
    for half in (network.model.encoder, network.model.decoder):
        assert half.dropout == 0.3
        for layer in half.layers:
            assert (layer.dropout, layer.self_attn.dropout, layer.activation_dropout) == (0.3, 0.2, 0.1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_no_logit(architecture):
    network = build(architecture=architecture).eval()
    short = (torch.tensor([5, 6, EOS]), torch.tensor([7, EOS]))
    long = (torch.tensor([8, 9, 10, 11, 12, EOS]), torch.tensor([13, 14, 15, 16, EOS]))
    alone, together = collate([short]), collate([short, long])
    with torch.no_grad():
        expected = network(**alone).logits[0]
        found = network(**together).logits[0, : len(expected)]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_future_changes_no_logit(architecture):
    network = build(architecture=architecture).eval()
    source = torch.tensor([5, 6, EOS])
    batch = collate([(source, torch.tensor([7, 8, 9])), (source, torch.tensor([7, 8, 20]))])
    with torch.no_grad():
        first, second = network(**batch).logits
    torch.testing.assert_close(first, second)


def test_beam_search_finds_the_likeliest_short_output():
    """Against all outputs of three tokens at most, ended or cut there, scored one by one."""
    network = build(vocabulary=8, layers=1, beams=56, length_penalty=0.0, max_output=3).eval()
    source = torch.tensor([[5, 6, EOS]])
    tokens = [token for token in range(8) if token not in (EOS, PAD)]
    whole = [list(output) for length in range(3) for output in product(tokens, repeat=length)]
    outputs = [*([*output, EOS] for output in whole), *map(list, product(tokens, repeat=3))]
    with torch.no_grad():
        scores = [-_loss(network, source, output) for output in outputs]
        found = network.generate(source, attention_mask=torch.ones_like(source))[0].tolist()
    assert found[1:] == outputs[max(range(len(scores)), key=scores.__getitem__)]


def _loss(network, source, output):
    batch = collate([(source[0], torch.tensor(output))])
    logits = network(**batch).logits[0]
    logits[:, PAD] = -torch.inf  # never written
    return functional.cross_entropy(logits, torch.tensor(output), reduction="sum").item()


def test_lengths_and_repetitions_are_kept():
    network = build(beams=2, min_output=6, max_output=9, no_repeat=2).eval()
    source = torch.tensor([[5, 6, 7, EOS]])
    output = network.generate(source, attention_mask=torch.ones_like(source))[0].tolist()[1:]
    assert 6 <= len(output) <= 9
    pairs = list(pairwise(output))
    assert len(pairs) == len(set(pairs))


def test_an_output_ends_where_the_positions_do():
    network = build(beams=1, positions=8, min_output=7).eval()
    source = torch.tensor([[5, 6, 7, EOS]])
    output = network.generate(source, attention_mask=torch.ones_like(source))[0]
    assert len(output) == 8


def test_pretrained_weights_replace_all_random_ones(tmp_path):
    first = build(architecture="bart")
    first.save_pretrained(tmp_path)
    model = EncoderDecoderModel(**SIZES, architecture="bart", pretrained=str(tmp_path))
    second = build_encoder_decoder(model)
    load_pretrained(second, model)
    for key, weight in first.state_dict().items():
        assert torch.equal(second.state_dict()[key], weight), key


@pytest.mark.parametrize(("width", "reason"), [(32, "lack .* in the sizes"), (None, "cannot start from")])
def test_pretrained_weights_that_do_not_fit_are_refused(tmp_path, width, reason):
    if width:
        build(architecture="bart", width=width).save_pretrained(tmp_path)
    model = EncoderDecoderModel(**SIZES, architecture="bart", pretrained=str(tmp_path))
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_pretrained(build_encoder_decoder(model), model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 3}, r"model\.width 16 is not a multiple of model\.heads 3"),
        ({"vocabulary": 0}, "model.vocabulary is 0"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"beams": 0}, "model.beams is 0"),
        ({"min_output": 9, "max_output": 8}, "min_output 9 is over"),
        ({"pretrained": "some/model"}, "some/model needs"),
    ],
)
def test_numbers_out_of_range_are_refused(change, words):
    with pytest.raises(RecipeError, match=words):
        EncoderDecoderModel(**SIZES | change)
