import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regdrop.errors import DataError
from regdrop.tasks.sources.images import folder as source
from regdrop.tasks.sources.images.folder import read_folder


def png(value, size=4, mode="RGB"):
    file = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, dtype=np.uint8)).convert(mode).save(file, "png")
    return file.getvalue()


def files(count, offset=0):
    """Pictures of two classes; each one's brightness is its name."""
    return {f"{kind}/{i + offset}.png": png(i + offset) for kind in ("cat", "dog") for i in range(count)}


def write_tree(root, entries):
    for name, content in entries.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def write_zip(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def content(images):
    return sorted(zip(images.pixels[:, 0, 0, 0].tolist(), images.labels.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["folders", "zips"])
def test_a_training_and_a_test_part(tmp_path, kind):
    for name, entries in (("train", files(3)), ("test", files(2, offset=50))):
        if kind == "zips":
            write_zip(tmp_path / f"{name}.zip", entries)
        else:
            write_tree(tmp_path / name, entries)
    train, test = read_folder(str(tmp_path), 4, 3)
    assert content(train) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert content(test) == [(50, 0), (50, 1), (51, 0), (51, 1)]
    assert train.classes == 2


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_one_part_is_split_four_to_one(tmp_path, kind):
    path = tmp_path / ("all.zip" if kind == "zip" else "all")
    (write_zip if kind == "zip" else write_tree)(path, files(5))
    train, test = read_folder(str(path), 4, 3)
    assert (len(train), len(test)) == (8, 2)
    assert sorted(content(train) + content(test)) == [(i, label) for i in range(5) for label in (0, 1)]


def test_images_are_resized_and_turned_grey(tmp_path):
    write_tree(tmp_path, files(3) | {"cat/large.png": png(200, size=9), "dog/note.txt": b"not an image"})
    train, test = read_folder(str(tmp_path), 6, 1)
    assert train.pixels.shape[1:] == (1, 6, 6)
    assert len(train) + len(test) == 7


def test_no_path_no_images_and_unequal_classes_are_told_apart(tmp_path):
    with pytest.raises(DataError, match=r"needs --data\.path"):
        read_folder(None, 4, 3)
    with pytest.raises(DataError, match=r"no images in .*one folder a class"):
        read_folder(str(tmp_path), 4, 3)
    write_tree(tmp_path / "train", files(2))
    write_tree(tmp_path / "test", {"cow/1.png": png(1)})
    with pytest.raises(DataError, match=r"\['cat', 'dog'\].*\['cow'\].*agree"):
        read_folder(str(tmp_path), 4, 3)


@pytest.mark.parametrize("damage", [b"", b"hello", png(3)[:45]], ids=["empty", "text", "cut off"])
def test_a_damaged_image_is_named(tmp_path, damage):
    write_tree(tmp_path, files(2) | {"dog/broken.png": damage})
    with pytest.raises(DataError, match=r"dog/broken\.png is not a readable image"):
        read_folder(str(tmp_path), 4, 3)


def test_a_damaged_zip_is_named(tmp_path):
    path = tmp_path / "all.zip"
    write_zip(path, files(3))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"all\.zip"):
        read_folder(str(path), 4, 3)


def test_limits_on_files_pixels_and_entries(tmp_path, monkeypatch):
    path = tmp_path / "all.zip"
    write_zip(path, files(3))
    write_tree(tmp_path / "tree", files(3))
    for limit, message in (("MAX_PIXELS", "4 x 4 pixels"), ("MAX_FILE_BYTES", "bytes"), ("MAX_FILES", "lists 6 files")):
        with monkeypatch.context() as patch:
            patch.setattr(source, limit, 5)
            with pytest.raises(DataError, match=f"{message}.*at most 5|bytes; images of at most 5"):
                read_folder(str(path), 4, 3)
            if limit != "MAX_FILES":
                with pytest.raises(DataError, match="at most 5"):
                    read_folder(str(tmp_path / "tree"), 4, 3)


def test_a_zip_that_unpacks_to_much_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.zip"
    write_zip(path, {"cat/zeros.png": bytes(source.MAX_FILE_BYTES + 1)})
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"zeros\.png has 67108865 bytes"):
        read_folder(str(path), 4, 3)


def test_names_that_lead_outside_write_nothing(tmp_path):
    inner = tmp_path / "inner"
    write_zip(
        inner / "all.zip",
        {
            "../../cat/1.png": png(1),
            "/dog/2.png": png(2),
            "dog/3.png": png(3),
            "cat/4.png": png(4),
            "cat/5.png": png(5),
        },
    )
    before = sorted(tmp_path.rglob("*"))
    train, test = read_folder(str(inner / "all.zip"), 4, 3)
    assert len(train) + len(test) == 5
    assert sorted(tmp_path.rglob("*")) == before


DATA = os.environ.get("REGDROP_DATA", "")


@pytest.mark.skipif(not (Path(DATA) / "cifar10-jpeg").is_dir(), reason="REGDROP_DATA has no cifar10-jpeg")
def test_the_real_cifar_copy():
    test = read_folder(str(Path(DATA) / "cifar10-jpeg" / "test.zip"), 32, 3)
    assert sum(len(part) for part in test) == 10_000
    assert torch.bincount(torch.cat([part.labels for part in test])).tolist() == [1000] * 10
