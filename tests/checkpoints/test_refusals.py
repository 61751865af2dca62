"""How a refusal reads."""

import pytest

from regdrop.checkpoints.refusals import named, shown
from regdrop.errors import CheckpointError


def test_a_refusal_begins_with_the_file():
    with pytest.raises(CheckpointError, match=r"^vit.npz: is odd$"), named("vit.npz"):
        raise CheckpointError("is odd")


def test_the_systems_errors_become_refusals(tmp_path):
    with pytest.raises(CheckpointError, match=r": Is a directory$"), named(tmp_path):
        tmp_path.open()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("head.bias", "'head.bias'"),
        ("a\x1b[31m\n", r"'a\x1b[31m\n'"),
        (("a",) * 9, "of type tuple"),
        (None, "of type NoneType"),
    ],
)
def test_keys_are_safe_to_print(key, text):
    assert shown(key) == text


def test_long_keys_are_cut():
    assert len(shown("\x00" * 10_000)) < 120
