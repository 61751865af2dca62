"""No damaged file causes any error but our own."""

import functools
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regdrop.errors import DataError, RecipeError
from regdrop.tasks.sources.images.folder import decode
from regdrop.training.recipe import load_recipe
from reliability.hostile import KINDS, damaged, read_hostile

EDIT = st.tuples(st.floats(0, 1), st.integers(0, 64) | st.just(10_000), st.binary(max_size=16))
# a decoder may warn of what it then refuses
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@functools.cache
def whole(name):
    return KINDS[name][0]()


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_read(tmp_path, name):
    assert read_hostile(name, whole(name), tmp_path)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
def test_damage_is_refused_or_read(tmp_path, name, edits):
    read_hostile(name, damaged(whole(name), edits), tmp_path)


YAMLS = [
    "[" * 20_000,
    "a: 2001-99-99",
    "a: &a [*a]",
    "a: !!python/object/apply:os.system [ls]",
]


@pytest.mark.parametrize("text", YAMLS, ids=["deep", "date", "loop", "code"])
def test_yaml_that_is_deep_impossible_or_code_is_refused(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"task: image_classification\n{text}\n")
    with pytest.raises(RecipeError):
        load_recipe(path)


@pytest.mark.filterwarnings("error")  # Pillow has a limit of its own, of which it would warn
@pytest.mark.parametrize("side", [8000, 10_000])
def test_a_small_png_of_many_pixels_is_refused_undecoded(tmp_path, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes((side + 1) * side)))
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb + chunk(b"IEND", b""))
    assert path.stat().st_size < 200_000
    with path.open("rb") as file, pytest.raises(DataError, match=f"{side} x {side} pixels"):
        decode("bomb.png", file, 3)
