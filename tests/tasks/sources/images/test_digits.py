import torch
from sklearn.datasets import load_digits

from regdrop.tasks.sources.images.digits import read_digits


def test_every_digit_is_in_one_part_with_its_label():
    parts = read_digits()
    assert [len(part) for part in parts] == [897, 900]
    raw = load_digits()
    wanted = sorted(
        zip((raw.images * 255 / 16).round().reshape(1797, -1).astype(int).tolist(), raw.target, strict=True)
    )
    found = [
        (pixels, label)
        for part in parts
        for pixels, label in zip(part.pixels.flatten(1).tolist(), part.labels.tolist(), strict=True)
    ]
    assert sorted(found) == wanted
    assert all(part.pixels.dtype == torch.uint8 and part.classes == 10 for part in parts)
