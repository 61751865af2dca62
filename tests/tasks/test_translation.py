import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regdrop.errors import DataError, RecipeError
from regdrop.tasks import translation
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel
from regdrop.tasks.tokens.pairs import PairDataset
from regdrop.tasks.translation import TASK, TranslationData, load_translation, signature
from seq2seq_files import english, german, translation_row, write_parts

MODEL = EncoderDecoderModel(vocabulary=300, width=16, feed_forward=32, layers=1, heads=2, positions=64)
WRITTEN = ["The dog sees 3 cats again .", "A bird.", "", "The cow sees 5 fish, again and again!"]
REFERENCES = ["The dog sees 3 cats again.", "The bird sees 4 birds.", "Nothing here.", "The cow sees 5 fishes, again!"]


def load(folder, **changes):
    return load_translation(TranslationData("de", "en", path=str(folder), **changes), MODEL, 0)


def test_the_direction_is_the_recipe_s(tmp_path):
    folder = write_parts(tmp_path, translation_row)
    splits = load(folder)
    source, _ = splits.train[4]
    assert splits.train.tokenizer.decode(source.tolist()).strip() == german(4)
    assert splits.train.references[4] == english(4)
    back = load_translation(TranslationData("en", "de", path=str(folder)), MODEL, 0)
    assert back.train.references[4] == german(4)


def test_lower_case_goes_for_everything_and_a_limit_takes_the_beginning(tmp_path):
    splits = load(write_parts(tmp_path, translation_row), lowercase=True, train_limit=7)
    assert splits.train.references == [english(i).lower() for i in range(7)]
    assert splits.test.references == [english(i).lower() for i in range(46, 52)]
    assert len(splits.validation) == 6


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_bleu_equals_sacrebleu_s_command_line(monkeypatch, tmp_path, language):
    """On stored outputs, in another process, by another door; so does the signature."""
    monkeypatch.setattr(translation, "generate", lambda *_, **__: WRITTEN)
    part = PairDataset.__new__(PairDataset)
    part.references, part.language = REFERENCES, language
    found = TASK.decode(None, part, None, 1, False)["bleu"]
    (tmp_path / "references").write_text("\n".join(REFERENCES) + "\n")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        tmp_path / "references",
        "-w",
        "9",
        "--language-pair",
        f"xx-{language}",
    ]
    done = subprocess.run(command, input="\n".join(WRITTEN) + "\n", capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert found == pytest.approx(told["score"], abs=1e-8)
    assert found > 10
    assert signature(TranslationData("xx", language))["bleu"] == told["signature"]


def test_a_limit_must_be_positive():
    with pytest.raises(RecipeError, match=r"data\.train_limit is 0"):
        TranslationData("de", "en", train_limit=0)


@pytest.mark.skipif("REGDROP_DATA" not in os.environ, reason="REGDROP_DATA is not set: no Multi30k")
def test_multi30k_as_it_is_published():
    folder = Path(os.environ["REGDROP_DATA"], "multi30k")
    splits = load(folder, train_limit=500)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (500, 1014, 1000)
    assert not {*splits.train.references} & {*splits.test.references} - {""}


def test_a_hub_that_cannot_be_reached_says_how_to_pass_a_folder(monkeypatch):
    from regdrop.tasks.sources import hub

    def refuse(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(hub, "load_dataset", refuse)
    with pytest.raises(DataError, match=r"wmt/wmt14 \(de-en\).*--data\.path FOLDER"):
        load_translation(TranslationData("en", "de", name="wmt/wmt14", config="de-en"), MODEL, 0)
