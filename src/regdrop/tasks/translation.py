"""Translation: the sections of its recipes, its data and its score."""

from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from torch import nn

from regdrop.tasks.evaluation.generation import generate
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel
from regdrop.tasks.sections import ONE_OR_MORE, check_ranges
from regdrop.tasks.seq2seq import seq2seq_task, split_pairs
from regdrop.tasks.sources.texts.pairs import read_pairs
from regdrop.tasks.task import Splits
from regdrop.tasks.tokens.pairs import TextPairs


@dataclass(frozen=True, slots=True)
class TranslationData:
    """The `data` section of a translation recipe.

    A row has a text in each of the two languages, under the languages' names or both under `translation`, as in
    `{"translation": {"de": "...", "en": "..."}}`.

    Attributes:
        source: language to read, "de" for example.
        target: language to write.
        name: of the data set on the hub; null where the hub has it not.
        config: which of the data set's configurations.
        path: folder of train.jsonl, validation.jsonl and test.jsonl to read instead.
        lowercase: read and write everything in lower case, references too.
        train_limit: learn from the first so many training pairs only; null: from all.
    """

    source: str
    target: str
    name: str | None = None
    config: str | None = None
    path: str | None = None
    lowercase: bool = False
    train_limit: int | None = None

    def __post_init__(self) -> None:
        check_ranges("data", self, train_limit=ONE_OR_MORE)


def load_translation(data: TranslationData, model: EncoderDecoderModel, _seed: int) -> Splits:
    """Read the pairs of a recipe and turn them into tokens.

    Raises:
        DataError: the data is missing, damaged or lacks a language.
        CheckpointError: the tokenizer of a pretrained model is missing.
        RecipeError: the vocabulary is larger than the model's.
    """
    parts = read_pairs(data.path, data.name, data.config, data.source, data.target)
    train, validation, test = map(_lowered, parts) if data.lowercase else parts
    return split_pairs(train[: data.train_limit], validation, test, model, language=data.target)


def _lowered(pairs: TextPairs) -> TextPairs:
    return TextPairs([text.lower() for text in pairs.sources], [text.lower() for text in pairs.targets])


def bleu(network: nn.Module, part: Any, _splits: Splits, batch: int, progress: bool) -> dict[str, float]:
    """BLEU, 0 to 100, of what the network's beam search writes for a `PairDataset`."""
    written = generate(network, part, batch=batch, progress=progress)
    return {"bleu": BLEU(trg_lang=part.language).corpus_score(written, [part.references]).score}


def signature(data: TranslationData) -> dict[str, str]:
    """How BLEU is computed, as sacreBLEU puts it.

    Example:
        >>> signature(TranslationData("de", "en"))["bleu"].split("|version")[0]
        'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp'
    """
    return {"bleu": str(BLEU(trg_lang=data.target, references=[["one"]]).get_signature())}


TASK = seq2seq_task(data=TranslationData, load=load_translation, decode=bleu, signatures=signature)
