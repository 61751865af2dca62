"""Language modelling: the sections of its recipes, its data and its score."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from transformers import EvalPrediction

from regdrop.errors import DataError, RecipeError
from regdrop.tasks.evaluation.token_loss import perplexity, token_losses
from regdrop.tasks.models.causal_lm import CausalModel, build_causal_lm
from regdrop.tasks.sections import ONE_OR_MORE, ZERO_OR_MORE, check_ranges
from regdrop.tasks.sources.texts.running import Lines, load_text, read_text
from regdrop.tasks.task import Splits, Task
from regdrop.tasks.tokens.vocabulary import Unit, learn_vocabulary
from regdrop.tasks.tokens.windows import TokenText, TokenWindows

LARGEST_EXPONENT = 700.0  # beyond it a perplexity is no float any more


@dataclass(frozen=True, slots=True)
class LanguageData:
    """The `data` section of a language-modelling recipe.

    Attributes:
        unit: what a token is: "word", "character" or "bpe"; the vocabulary is learned from the training text.
        block: tokens that a training item predicts.
        window: tokens that the model predicts at once in an evaluation.
        context: how many of them serve as context alone, so that every token is scored once, from at least so many
            before it.
        name: of the data set on the hub; null where the hub has it not.
        config: which of its data sets.
        path: folder of text files to read instead; see `read_text`.
        validation: text in two parts has no third to choose the checkpoint by: so many lines at the end of the training
            text are held out for it, and its second part is the test. Text in three parts needs none.
        train_limit: learn from this many of the remaining lines only; null: from all.
    """

    unit: Unit
    block: int
    window: int
    context: int = 0
    name: str | None = None
    config: str | None = None
    path: str | None = None
    validation: int | None = None
    train_limit: int | None = None

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("block", "window", "validation", "train_limit"), ONE_OR_MORE)
        check_ranges("data", self, context=ZERO_OR_MORE, **counts)
        if self.context >= self.window:
            raise RecipeError(
                f"data.context {self.context} leaves nothing to score of data.window {self.window}; choose less"
            )


def load_language(data: LanguageData, model: CausalModel, _seed: int) -> Splits:
    """Read the text of a recipe, learn its tokens and cut it into windows.

    Args:
        data: which text, in which tokens and windows.
        model: gives the size of the vocabulary and the longest window.

    Raises:
        DataError: the data is missing or damaged.
        RecipeError: a window or the vocabulary does not fit the model, or there is no validation part.
    """
    longest = max(data.block, data.window) + 1
    if longest > model.positions:
        raise RecipeError(f"windows have {longest} tokens, the model takes {model.positions}; raise model.positions")
    parts = _three_parts(data)
    tokenizer = learn_vocabulary(parts["train"], data.unit, model.vocabulary)
    train, validation, test = (
        TokenText.of(parts[part], tokenizer, lossless=data.unit != "word") for part in ("train", "validation", "test")
    )
    return Splits(
        train=TokenWindows(train, data.block),
        validation=TokenWindows(validation, data.window, data.context),
        test=TokenWindows(test, data.window, data.context),
        collate=default_collate,
        tokenizer=tokenizer,
    )


def _three_parts(data: LanguageData) -> dict[str, Lines]:
    """Training, validation and test lines; the validation is held out of the training text where there is none."""
    found = _read(data)
    if len(found) < 3:
        found = _held_out(found, data.validation)
    return found | {"train": found["train"][: data.train_limit]}


def _read(data: LanguageData) -> dict[str, Lines]:
    if data.path is not None:
        return read_text(data.path)
    if data.name is None:
        raise DataError("this text is not on the hub; pass --data.path FOLDER with train.txt and validation.txt in it")
    return load_text(data.name, data.config)


def _held_out(found: dict[str, Lines], count: int | None) -> dict[str, Lines]:
    train, (other,) = found["train"], [lines for part, lines in found.items() if part != "train"]
    if count is None:
        raise RecipeError("the text has two parts; pass --data.validation LINES, held out of the training text")
    if count >= len(train):
        raise DataError(f"cannot hold out {count} of {len(train)} lines; pass a smaller --data.validation")
    return {"train": train[:-count], "validation": train[-count:], "test": other}


def _condense(logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """The loss and tokens of each window; position t predicts token t + 1."""
    return token_losses(logits[:, :-1], labels[:, 1:])


def _score(evaluation: EvalPrediction, part: Dataset[Any]) -> dict[str, float]:
    """Perplexity of a token; of text that its tokens give back, also what other tokens can be compared by.

        word_perplexity = exp(nats / words)        bits_per_character = nats / (characters log 2)

    A line's end counts as a word and as a character.
    """
    scores = perplexity(evaluation, part)
    text = part.text  # type: ignore[attr-defined]  # a TokenWindows
    if text.lossless:
        nats = float(np.sum(evaluation.predictions[0], dtype=float))
        scores["word_perplexity"] = math.exp(min(nats / text.words, LARGEST_EXPONENT))
        scores["bits_per_character"] = nats / (text.characters * math.log(2))
    return scores


TASK = Task(
    data=LanguageData,
    model=CausalModel,
    load=load_language,
    build=build_causal_lm,
    condense=_condense,
    score=_score,
    best=lambda _data: "perplexity",
    higher_is_better=False,
)
