import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from regdrop.errors import DataError
from regdrop.tasks.images.labelled import ImageDataset, hold_out
from regdrop.tasks.images.transforms import Prepare
from regdrop.tasks.sources.images.files import list_files


def png(value, height, width):
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), value, dtype=np.uint8)).save(file, "png")
    return file.getvalue()


def write(root, test="val", classes=("cat", "dog")):
    """Ten images a class to train on, two to test on, each of its own size and brightness."""
    for part, count in (("train", 10), (test, 2)):
        for label, kind in enumerate(classes):
            (root / part / kind).mkdir(parents=True)
            for i in range(count):
                (root / part / kind / f"{i}.png").write_bytes(png(10 * i + label, 8 + i, 20 - i))


@pytest.mark.parametrize("name", ["val", "test"])
def test_the_parts_and_labels_are_those_of_the_folders(tmp_path, name):
    write(tmp_path, name)
    train, test = list_files(str(tmp_path), 3)
    assert (len(train), len(test), train.classes, train.channels) == (20, 4, 2, 3)
    for part, folder in ((train, "train"), (test, name)):
        for path, label in zip(part.paths, part.labels.tolist(), strict=True):
            assert re.search(rf"{folder}/{['cat', 'dog'][label]}/\d\.png$", path)


def test_each_image_is_prepared_at_its_own_size(tmp_path):
    write(tmp_path)
    train, _ = list_files(str(tmp_path), 3)
    sizes = []

    def transform(pixels, noise):
        sizes.append((*pixels.shape, noise.item()))
        return Prepare(8, "none")(pixels, noise)

    data = ImageDataset(train, transform, seed=1)
    batch = data.__getitems__([2, 15])
    assert sizes == [(1, 3, 10, 18, data.noise[2].item()), (1, 3, 13, 15, data.noise[15].item())]
    assert batch["labels"].tolist() == [0, 1]
    for pixels, value in zip(batch["pixel_values"], (20, 51), strict=True):
        torch.testing.assert_close(pixels, torch.full((3, 8, 8), value / 127.5 - 1))


def test_images_that_are_held_out_keep_their_labels(tmp_path):
    write(tmp_path)
    whole, _ = list_files(str(tmp_path), 1)
    rest, held = hold_out(whole, 5)
    assert (len(rest), len(held)) == (15, 5)
    assert sorted(rest.paths + held.paths) == sorted(whole.paths)
    for part in (rest, held):
        assert [("dog" in path) for path in part.paths] == part.labels.bool().tolist()
    assert ImageDataset(held[:2], Prepare(4, "resized_crop"), seed=0).__getitems__([0, 1])["pixel_values"].shape == (
        2,
        1,
        4,
        4,
    )


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"needs --data\.path"):
        list_files(None, 3)
    with pytest.raises(DataError, match=f"no train in {tmp_path}"):
        list_files(str(tmp_path), 3)
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(png(1, 4, 4))
    with pytest.raises(DataError, match=f"no test or val in {tmp_path}"):
        list_files(str(tmp_path), 3)
    (tmp_path / "val" / "cow").mkdir(parents=True)
    with pytest.raises(DataError, match="cow"):
        list_files(str(tmp_path), 3)
    (tmp_path / "val" / "cow" / "1.png").write_bytes(png(1, 4, 4))
    with pytest.raises(DataError, match=r"\['cat'\].*\['cow'\].*agree"):
        list_files(str(tmp_path), 3)


def test_a_damaged_file_is_named_when_it_is_served(tmp_path):
    write(tmp_path)
    (tmp_path / "train" / "cat" / "0.png").write_bytes(b"hello")
    train, _ = list_files(str(tmp_path), 3)
    with pytest.raises(DataError, match=r"cat/0\.png is not a readable image"):
        ImageDataset(train, Prepare(4, "none"), seed=0).__getitems__([0])
