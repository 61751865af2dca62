"""What translation and summarization share: pairs of texts as the three parts of a task's data, model and choice."""

from functools import partial
from typing import Any

from tokenizers import Tokenizer

from regdrop.errors import DataError
from regdrop.tasks.evaluation.token_loss import perplexity, token_losses
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel, build_encoder_decoder, load_pretrained
from regdrop.tasks.models.pretrained import pretrained_tokenizer
from regdrop.tasks.task import Splits, Task
from regdrop.tasks.tokens.batches import TokenBatches
from regdrop.tasks.tokens.bpe import train_bpe
from regdrop.tasks.tokens.pairs import PairDataset, TextPairs, collate


def split_pairs(
    train: TextPairs, validation: TextPairs, test: TextPairs, model: EncoderDecoderModel, language: str = ""
) -> Splits:
    """Turn the texts of three parts into tokens of one vocabulary.

    Args:
        train: to learn from; the vocabulary is learned from it too, unless the model is pretrained.
        validation: to choose by.
        test: to report on.
        model: gives the vocabulary and the longest text.
        language: of the targets, where their score depends on it.

    Raises:
        DataError: a part is empty.
        CheckpointError: the tokenizer of a pretrained model is missing.
        RecipeError: the vocabulary is larger than the model's.
    """
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        if not len(part):
            raise DataError(f"the {name} part holds no pair of texts; pass --data.path FOLDER with data in it")
    tokenizer = _tokenizer(train, model)
    learn, choose, report = (
        PairDataset(part, tokenizer, model.positions, language) for part in (train, validation, test)
    )
    return Splits(learn, choose, report, collate, batches=partial(TokenBatches, learn.lengths), tokenizer=tokenizer)


def _tokenizer(train: TextPairs, model: EncoderDecoderModel) -> Tokenizer:
    if model.pretrained is not None:
        return pretrained_tokenizer(model.pretrained, model.vocabulary)
    return train_bpe([*train.sources, *train.targets], model.vocabulary)


def seq2seq_task(**own: Any) -> Task:
    """A task of pairs of texts, whose checkpoint is the one of the least validation loss: what is written costs more.

    Args:
        own: data, load, decode and signatures of `Task`.
    """
    return Task(
        model=EncoderDecoderModel,
        build=build_encoder_decoder,
        condense=token_losses,
        score=perplexity,
        best=lambda _data: "loss",
        higher_is_better=False,
        load_pretrained=load_pretrained,
        **own,
    )
