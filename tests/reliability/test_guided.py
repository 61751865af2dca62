"""Damage guided by coverage finds no error but our own, and would find one."""

import pytest

from reliability.fuzzing import FOUND, HAS_ATHERIS, hunt
from reliability.hostile import whole_files

pytestmark = pytest.mark.skipif(not HAS_ATHERIS, reason="atheris is not installed: it has no wheel for this platform")
SECONDS = 3


@pytest.mark.parametrize("name", ["vit.pdparams", "vit.npz"])
def test_guided_damage_is_refused_or_read(tmp_path, name):
    hunted = hunt(name, tmp_path, seconds=SECONDS)
    assert hunted.code == 0, hunted.log[-3000:]
    assert hunted.files > len(whole_files(name))
    assert 0 < hunted.coverage[0] <= hunted.coverage[1]


# refusals deep in each reader: behind the archive's checksum, behind the opcodes that make an array
TREASURES = [("vit.pdparams", "sets the state of"), ("vit.npz", "declares shape")]


@pytest.mark.parametrize(("name", "treasure"), TREASURES)
def test_an_error_of_another_kind_would_be_found(tmp_path, name, treasure):
    hunted = hunt(name, tmp_path, runs=100_000, treasure=treasure)
    assert hunted.code == FOUND, hunted.log[-3000:]
    assert treasure in hunted.log
    assert list(tmp_path.glob("crash-*"))
