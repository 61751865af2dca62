import pytest
import torch

from regdrop.errors import RecipeError
from regdrop.tasks.models.encoder import EncoderModel, build_encoder
from regdrop.tasks.tokens.bpe import BOS
from regdrop.training.recipe import load_recipe

SIZES = {"vocabulary": 50, "width": 16, "depth": 2, "heads": 2, "feed_forward": 32, "classes": 3, "positions": 12}


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_padding_does_not_move_the_logits(architecture):
    model = EncoderModel(architecture=architecture, **SIZES)
    network = build_encoder(model).eval()
    row = torch.randint(4, 50, (1, 9))
    padded = torch.cat([row, torch.full((1, 3), model.pad)], dim=1)
    alone = network(row, attention_mask=torch.ones(1, 9).long()).logits
    mask = (torch.arange(12) < 9).long().unsqueeze(0)
    assert torch.allclose(network(padded, attention_mask=mask).logits, alone, atol=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_a_vocabulary_of_our_own_learns_the_token_that_begins_a_text(architecture):
    network = build_encoder(EncoderModel(architecture=architecture, **SIZES))
    network(torch.tensor([[BOS, 5, 6]])).logits.sum().backward()
    assert network.get_input_embeddings().weight.grad[BOS].any()


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_the_longest_text_fits(architecture):
    network = build_encoder(EncoderModel(architecture=architecture, **SIZES))
    assert network(torch.randint(4, 50, (2, 12))).logits.shape == (2, 3)


def test_the_rates_are_where_the_recipe_says():
    rates = {"dropout": 0.2, "attention_dropout": 0.3, "head_dropout": 0.4}
    config = build_encoder(EncoderModel(**SIZES, **rates)).config
    assert config.hidden_dropout_prob == 0.2
    assert config.attention_probs_dropout_prob == 0.3
    assert config.classifier_dropout == 0.4
    assert config.problem_type == "single_label_classification"


# transformers' own counts for bert-base-cased and roberta-large with two classes
@pytest.mark.parametrize(("name", "weights"), [("sst2_bert_base", 108_311_810), ("sst2_roberta_large", 355_361_794)])
def test_the_published_sizes(name, weights):
    with torch.device("meta"):
        network = build_encoder(load_recipe(name).model)
    assert sum(weight.numel() for weight in network.parameters()) == weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "model.width is 0"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"head_dropout": -0.1}, "model.head_dropout is -0.1"),
        ({"heads": 3}, "model.width 16 is not a multiple of model.heads 3"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        EncoderModel(**SIZES | change)
