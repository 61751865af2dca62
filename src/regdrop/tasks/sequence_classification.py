"""Sentence classification and similarity: the sections of its recipes, its data and its score."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from tokenizers import Tokenizer, processors
from torch import Tensor
from torch.utils.data import Dataset
from transformers import EvalPrediction

from regdrop.errors import InputError, RecipeError
from regdrop.tasks.evaluation.answers import calibration_error, class_answers, number_answers
from regdrop.tasks.glue import GLUE, GlueName, glue_score
from regdrop.tasks.images.labelled import collate
from regdrop.tasks.models.encoder import EncoderModel, build_encoder, load_pretrained
from regdrop.tasks.models.pretrained import pretrained_tokenizer
from regdrop.tasks.sections import ONE_OR_MORE, check_ranges
from regdrop.tasks.sources.texts.glue import Rows, read_glue
from regdrop.tasks.task import Splits, Task
from regdrop.tasks.tokens.batches import TokenBatches
from regdrop.tasks.tokens.bpe import BOS, EOS, SPECIAL, train_bpe
from regdrop.tasks.tokens.sentences import SentenceDataset


@dataclass(frozen=True, slots=True)
class SentenceData:
    """The `data` section of a recipe for sentence classification.

    GLUE publishes labels of its training and validation parts alone: its validation part is the test part here, as in
    the paper, and another one is held out of the training part to choose the checkpoint by.

    Attributes:
        task: which of GLUE's.
        validation: how many training rows to hold out, the same ones in every run. A `path` with a test.jsonl has a
            validation part of its own, and nothing is held out.
        path: folder with train.jsonl, validation.jsonl and, if there is one, test.jsonl, in the columns of the hub's
            data set; null: the hub.
        train_limit: learn from this many of the training rows only; null: from all.
        max_length: longer rows are cut to so many tokens.
    """

    task: GlueName
    validation: int
    path: str | None = None
    train_limit: int | None = None
    max_length: int = 128

    def __post_init__(self) -> None:
        check_ranges("data", self, validation=ONE_OR_MORE, train_limit=ONE_OR_MORE, max_length=ONE_OR_MORE)


def load_sentences(data: SentenceData, model: EncoderModel, seed: int) -> Splits:  # noqa: ARG001 - nothing is random
    """Read, split and tokenize the rows of a recipe.

    Args:
        data: which rows.
        model: gives the tokenizer, and must have as many classes as the task.
        seed: unused; neither the split nor the tokens depend on it.

    Raises:
        DataError: the data is missing or damaged, or there is too little to hold out.
        CheckpointError: the tokenizer of a pretrained model is missing.
        RecipeError: the model's classes, vocabulary or positions do not fit.
    """
    _check_fit(data, model)
    train, validation, test = read_glue(data.task, data.path, data.validation)
    train = train[: data.train_limit]
    tokenizer = _tokenizer(_texts(train, data.task), model)
    learn, choose, report = (
        SentenceDataset(
            _texts(rows, data.task),
            _labels(rows, data.task),
            GLUE[data.task],
            tokenizer,
            positions=data.max_length,
            pad=model.pad,
            sort=rows is not train,
        )
        for rows in (train, validation, test)
    )
    batches = partial(TokenBatches, learn.tokens.lengths)
    return Splits(learn, choose, report, collate, batches, tokenizer)


def _check_fit(data: SentenceData, model: EncoderModel) -> None:
    classes = GLUE[data.task].classes
    if model.classes != classes:
        raise RecipeError(
            f"{data.task} needs model.classes {classes}, but it is {model.classes}; pass --model.classes {classes}"
        )
    if data.max_length > model.positions:
        raise RecipeError(
            f"data.max_length {data.max_length} is more than model.positions {model.positions}; change one of them"
        )


def _texts(rows: Rows, name: GlueName) -> list[Any]:
    """The sentence of each row, or its pair of sentences."""
    columns = GLUE[name].texts
    return [row[columns[0]] if len(columns) == 1 else tuple(row[column] for column in columns) for row in rows]


def _labels(rows: Rows, name: GlueName) -> Tensor:
    return torch.tensor([row["label"] for row in rows], dtype=torch.float if GLUE[name].classes == 1 else torch.long)


def _tokenizer(texts: Sequence[Any], model: EncoderModel) -> Tokenizer:
    """That of the pretrained model, or one learned from the texts that frames them as RoBERTa does."""
    if model.pretrained is not None:
        return pretrained_tokenizer(model.pretrained, model.vocabulary)
    sentences = (sentence for text in texts for sentence in ([text] if isinstance(text, str) else text))
    tokenizer = train_bpe(sentences, model.vocabulary)
    begin, end = SPECIAL[BOS], SPECIAL[EOS]
    second = 1 if model.architecture == "bert" else 0  # RoBERTa does not tell the sentences of a pair apart
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end}:{second} $B:{second} {end}:{second}",
        special_tokens=[(begin, BOS), (end, EOS)],
    )
    return tokenizer


def _answers(logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    return number_answers(logits, labels) if labels.is_floating_point() else class_answers(logits, labels)


def _score(evaluation: EvalPrediction, part: Dataset[Any]) -> dict[str, float]:
    """GLUE's metrics of the task that the part is of, and the calibration error where there are classes."""
    if not isinstance(part, SentenceDataset):
        raise InputError(f"a {type(part).__name__} has no task of GLUE; pass a part that load_sentences made")
    kept, labels = evaluation.predictions, evaluation.label_ids
    found = {metric: glue_score(metric, kept[2], labels) for metric in part.glue.metrics}
    if part.glue.classes > 1:
        found["ece"] = calibration_error(kept[2], kept[3], labels)
    return found


TASK = Task(
    data=SentenceData,
    model=EncoderModel,
    load=load_sentences,
    build=build_encoder,
    condense=_answers,
    score=_score,
    best=lambda data: GLUE[data.task].metrics[0],
    load_pretrained=load_pretrained,
)
