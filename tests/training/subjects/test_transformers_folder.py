"""Folders as transformers saves them: texts and images, safetensors only, nothing of theirs run."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from regdrop.errors import CheckpointError, DataError, InputError, UnsupportedError
from regdrop.training.diagnosing import diagnose_subject
from regdrop.training.subjects.find import Request, find_subject

WORDS = ["[PAD]", "[UNK]", "</s>", "a", "good", "bad", "film", "very", "truly"]
SIZES = {"vocab_size": len(WORDS), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 2}
BERT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
BART = {
    "d_model": 8,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
NAMES = {"label2id": {"bad": 0, "good": 1}, "id2label": {0: "bad", 1: "good"}}


def save(folder, model):
    torch.manual_seed(0)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token=WORDS[1]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **special).save_pretrained(folder)
    return folder


def bert(**more):
    return BertForSequenceClassification(BertConfig(**SIZES, **BERT, **NAMES, **more))


@pytest.fixture
def rows(tmp_path):
    texts = [("a good film", "good"), ("very bad", "bad"), ("a truly good film", 1), ("bad", 0)] * 2
    lines = [{"text": text, "label": label, "source": text, "target": "a film"} for text, label in texts]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "rows.jsonl"


def diagnosed(request):
    return diagnose_subject(find_subject(request), "command", passes=2, progress=False).diagnosis


def test_a_classifier_of_texts(tmp_path, rows):
    folder = save(tmp_path / "bert", bert())
    subject = find_subject(Request(str(folder), rows, size=4))
    batches = list(subject.batches)
    assert [batch["labels"].tolist() for batch in batches] == [[1, 0, 1, 0]] * 2
    assert batches[0]["input_ids"][0].tolist() == [3, 4, 6, 0]
    found = diagnosed(Request(str(folder), rows, size=4))
    assert (found.items, found.classes, found.verdict.kind) == (8, 2, found.verdict.kind)
    assert found.consistency.pairwise_kl > 0


def test_its_dropout_can_be_changed(tmp_path, rows):
    folder = save(tmp_path / "bert", bert())
    kls = [
        diagnosed(Request(str(folder), rows, ("--model.hidden_dropout_prob", p))).consistency.pairwise_kl
        for p in ("0.1", "0.5")
    ]
    assert kls[0] < kls[1]


def test_two_texts_and_other_columns(tmp_path, rows):
    folder = save(tmp_path / "bert", bert())
    subject = find_subject(Request(str(folder), rows, columns=("text", "target", "label"), size=2))
    assert next(iter(subject.batches))["input_ids"][1].tolist()[:4] == [7, 5, 3, 6]


@pytest.mark.parametrize(
    ("model", "items"),
    [
        (lambda: GPT2LMHeadModel(GPT2Config(**SIZES, n_embd=8, n_layer=1, n_head=2)), 2 * (2 + 1 + 3 + 0)),
        (lambda: BartForConditionalGeneration(BartConfig(**SIZES, **BART, decoder_start_token_id=2)), 8 * 2),
    ],
    ids=["causal", "seq2seq"],
)
def test_language_models_count_tokens_without_padding(tmp_path, rows, model, items):
    found = diagnosed(Request(str(save(tmp_path / "lm", model())), rows, size=4))
    assert (found.items, found.classes) == (items, len(WORDS))
    assert found.consistency.pairwise_kl > 0


def test_a_classifier_of_images(tmp_path):
    from PIL import Image

    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = ViTForImageClassification(ViTConfig(**sizes, intermediate_size=8, hidden_dropout_prob=0.5, **NAMES))
    model.save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(tmp_path / "vit")
    for name in ("good", "bad"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (10, 12), "red").save(tmp_path / "images" / name / "1.png")
    found = diagnosed(Request(str(tmp_path / "vit"), tmp_path / "images"))
    assert (found.items, found.classes) == (2, 2)
    assert found.consistency.pairwise_kl > 0


def test_pickles_and_foreign_code_are_not_touched(tmp_path, rows):
    folder = save(tmp_path / "bert", bert())
    (folder / "model.safetensors").unlink()
    torch.save(bert().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="from safetensors"):
        find_subject(Request(str(folder), rows))
    folder = save(tmp_path / "foreign", bert())
    config = json.loads((folder / "config.json").read_text())
    (folder / "evil.py").write_text("raise SystemExit('this was run')")
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        find_subject(Request(str(folder), rows))


def test_what_does_not_fit_is_refused(tmp_path, rows):
    folder = save(tmp_path / "bert", bert())
    headless = save(tmp_path / "headless", BertForPreTraining(BertConfig(**SIZES, **BERT)))
    adapter = save(tmp_path / "adapter", bert())
    (adapter / "adapter_config.json").write_text("{}")
    broken = save(tmp_path / "broken", bert())
    (broken / "config.json").write_text("{")
    part = save(tmp_path / "part", BertForSequenceClassification(BertConfig(**SIZES, **BERT, **NAMES)).bert)
    config = json.loads((folder / "config.json").read_text())
    (part / "config.json").write_text(json.dumps(config))
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "a", "label": "ugly"}\n')
    for request, error, message in (
        (Request(str(headless), rows), UnsupportedError, "BertForPreTraining"),
        (Request(str(adapter), rows), UnsupportedError, "merge_and_unload"),
        (Request(str(part), rows), CheckpointError, "lacks 2 weights of its model, such as 'classifier.bias'"),
        (Request(str(broken), rows), CheckpointError, "config.json"),
        (
            Request(str(folder), rows, ("--model.hidden_dropuot_prob", "1")),
            InputError,
            "did you mean 'hidden_dropout_prob'",
        ),
        (Request(str(folder), rows, columns=("text",)), InputError, "--columns text: expected text,label"),
        (Request(str(folder), rows, columns=("no", "label")), DataError, "rows.jsonl, line 1"),
        (Request(str(folder), rows, weights=rows), InputError, "leave it out"),
        (Request(str(folder)), InputError, "has no data of its own"),
    ):
        with pytest.raises(error, match=message):
            find_subject(request)
    with pytest.raises(DataError, match="label 'ugly' is no class of the model"):
        diagnosed(Request(str(folder), other))
