"""Summarization: the sections of its recipes, its data and its score."""

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rouge_score.rouge_scorer import RougeScorer
from torch import nn

from regdrop.tasks.evaluation.generation import generate
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel
from regdrop.tasks.sections import ONE_OR_MORE, check_ranges
from regdrop.tasks.seq2seq import seq2seq_task, split_pairs
from regdrop.tasks.sources.texts.debian import fetch_descriptions, read_descriptions
from regdrop.tasks.sources.texts.pairs import read_pairs
from regdrop.tasks.task import Splits

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=\S)")


@dataclass(frozen=True, slots=True)
class SummaryData:
    """The `data` section of a summarization recipe.

    Attributes:
        kind: "table" is a data set of the hub or a folder of JSON lines, "debian" the descriptions of Debian's
            packages and the synopses above them, fetched with apt.
        source: column of the text to read.
        target: column of the summary to write.
        name: of the data set on the hub; null where the hub has it not.
        config: which of the data set's configurations.
        path: "table": folder of train.jsonl, validation.jsonl and test.jsonl to read instead; "debian": a file of
            descriptions that an earlier run has left in the cache.
        train_limit: learn from the first so many training pairs only; null: from all.
    """

    kind: Literal["table", "debian"] = "table"
    source: str = "article"
    target: str = "highlights"
    name: str | None = None
    config: str | None = None
    path: str | None = None
    train_limit: int | None = None

    def __post_init__(self) -> None:
        check_ranges("data", self, train_limit=ONE_OR_MORE)


def load_summaries(data: SummaryData, model: EncoderDecoderModel, _seed: int) -> Splits:
    """Read the pairs of a recipe and turn them into tokens.

    Raises:
        DataError: the data is missing, damaged or lacks a column.
        CheckpointError: the tokenizer of a pretrained model is missing.
        RecipeError: the vocabulary is larger than the model's.
    """
    if data.kind == "debian":
        train, validation, test = read_descriptions(Path(data.path) if data.path else fetch_descriptions())
    else:
        train, validation, test = read_pairs(data.path, data.name, data.config, data.source, data.target)
    return split_pairs(train[: data.train_limit], validation, test, model)


def rouge(network: nn.Module, part: Any, _splits: Splits, batch: int, progress: bool) -> dict[str, float]:
    """ROUGE F1, 0 to 1, of what the network's beam search writes for a `PairDataset`."""
    return rouge_scores(part.references, generate(network, part, batch=batch, progress=progress))


def rouge_scores(references: list[str], written: list[str]) -> dict[str, float]:
    """Mean F1 of ROUGE-1, -2, -L and of -Lsum, the ROUGE-L of summaries that are split into sentences.

    Example:
        >>> scores = rouge_scores(["a small shell"], ["a fast shell"])
        >>> {name: round(value, 2) for name, value in scores.items()}
        {'rouge1': 0.67, 'rouge2': 0.0, 'rougeL': 0.67, 'rougeLsum': 0.67}
    """
    scorer = RougeScorer(ROUGE, use_stemmer=True)
    scores = [
        scorer.score(_by_sentence(one), _by_sentence(other)) for one, other in zip(references, written, strict=True)
    ]
    return {name: sum(score[name].fmeasure for score in scores) / len(scores) for name in ROUGE}


def _by_sentence(text: str) -> str:
    return SENTENCE_END.sub("\n", text)


def signature(_data: SummaryData) -> dict[str, str]:
    """How ROUGE is computed.

    Example:
        >>> signature(SummaryData())["rouge"].split("|version")[0]
        'rouge-score|F1|stemmer:porter|sentences:.!?'
    """
    return {"rouge": f"rouge-score|F1|stemmer:porter|sentences:.!?|version:{version('rouge-score')}"}


TASK = seq2seq_task(data=SummaryData, load=load_summaries, decode=rouge, signatures=signature)
