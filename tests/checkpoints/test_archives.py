"""Zip archives that lie about their sizes, names or packing are refused before they are unpacked."""

import io
import struct
import zipfile

import pytest

from regdrop.checkpoints import archives, refusals
from regdrop.checkpoints.archives import check_sums, opened_archive
from regdrop.errors import CheckpointError


def archive(*entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in entries:
            writer.writestr(name, content)
    return file


def test_a_sound_archive_opens():
    file = archive(("a/b.npy", b"1"), ("c.npy", b"2"), compression=zipfile.ZIP_DEFLATED)
    with opened_archive(file) as opened:
        assert opened.namelist() == ["a/b.npy", "c.npy"]
        check_sums(opened)


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "a\\b", "C:/windows", "c:up"])
def test_path_like_names_are_refused(name):
    with pytest.raises(CheckpointError, match="path out of the archive"):
        opened_archive(archive((name, b"")))


@pytest.mark.parametrize("twin", ["head.npy", "HEAD.npy"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_are_there_twice_are_refused(twin):
    with pytest.raises(CheckpointError, match="there twice"):
        opened_archive(archive(("head.npy", b"1"), (twin, b"2")))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_of_unbounded_memory_are_refused(compression):
    with pytest.raises(CheckpointError, match="packed in a way that is not read"):
        opened_archive(archive(("head.npy", b"1"), compression=compression))


def test_a_bomb_is_refused():
    bomb = archive(("head.npy", bytes(10_000_000)), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb.getvalue()) < 20_000
    with pytest.raises(CheckpointError, match=r"unpacks from .* to 10,000,000 bytes; that is a zip bomb"):
        opened_archive(bomb)


def test_overlapping_entries_are_counted_each():
    """Forty names for one deflated kernel: each is within the ratio, together they are not."""
    content = bytes(50_000) + bytes(range(256)) * 10
    one = archive(("000.npy", content), compression=zipfile.ZIP_DEFLATED).getvalue()
    with opened_archive(io.BytesIO(one)) as opened:
        check_sums(opened)
    start = one.index(b"PK\x01\x02")
    entry, end = one[start : one.index(b"PK\x05\x06")], one[one.index(b"PK\x05\x06") :]
    count = refusals.MAX_RATIO
    directory = b"".join(entry.replace(b"000.npy", b"%03d.npy" % i) for i in range(count))
    ending = end[:8] + struct.pack("<HHII", count, count, len(directory), start) + end[20:]
    with pytest.raises(CheckpointError, match="zip bomb"):
        opened_archive(io.BytesIO(one[:start] + directory + ending))


def test_more_than_the_file_limit_is_refused(monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 100)
    with pytest.raises(CheckpointError, match="unpacks"):
        opened_archive(archive(("head.npy", bytes(101))))


def test_too_many_entries_are_refused(monkeypatch):
    monkeypatch.setattr(refusals, "MAX_TENSORS", 3)
    with pytest.raises(CheckpointError, match="4 entries, over the limit"):
        opened_archive(archive(*((str(i), b"") for i in range(4))))


def test_an_encrypted_entry_is_refused():
    content = bytearray(archive(("head.npy", b"1")).getvalue())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(CheckpointError, match="encrypted"):
        opened_archive(io.BytesIO(content))


def test_a_folder_is_refused():
    with pytest.raises(CheckpointError, match="'head/' is a folder"):
        opened_archive(archive(("head/", b"")))
    content = bytearray(archive(("head.npy", b"1")).getvalue())
    content[content.index(b"PK\x01\x02") + 38] |= 0x10
    with pytest.raises(CheckpointError, match=r"'head.npy' is a folder"):
        opened_archive(io.BytesIO(content))


def test_a_huge_directory_is_not_read(monkeypatch):
    monkeypatch.setattr(archives, "MAX_HEADER_BYTES", 200)
    with pytest.raises(CheckpointError, match="header over the limit"):
        opened_archive(archive(*((f"{i:050}", b"") for i in range(4))))


def test_a_damaged_entry_is_named():
    content = archive(("head.npy", b"weights")).getvalue().replace(b"weights", b"weighty")
    with pytest.raises(CheckpointError, match=r"entry 'head.npy' is damaged .*CRC"):
        check_sums(opened_archive(io.BytesIO(content)))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(10), bytes(1000)])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(CheckpointError, match="no readable zip archive"):
        opened_archive(io.BytesIO(content))
