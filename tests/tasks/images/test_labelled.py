import pytest
import torch
from torch.utils.data import DataLoader

from regdrop.errors import DataError
from regdrop.tasks.images.labelled import ImageDataset, Images, collate, hold_out

PICTURES = Images(torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1), torch.arange(20), 20)


def noisy(pixels, noise):
    return pixels.double() + (noise % 1000).view(-1, 1, 1, 1) / 1000


def served(data, batch_size, order=range(20)):
    loader = DataLoader(data, batch_size=batch_size, sampler=list(order), collate_fn=collate)
    batches = list(loader)
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def test_hold_out_parts_the_images_the_same_way_every_time():
    torch.manual_seed(1)
    first = hold_out(PICTURES, 6)
    torch.manual_seed(2)
    second = hold_out(PICTURES, 6)
    for one, other in zip(first, second, strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        assert one.pixels.flatten().tolist() == one.labels.tolist()
    assert sorted(first[0].labels.tolist() + first[1].labels.tolist()) == list(range(20))
    assert len(first[1]) == 6


@pytest.mark.parametrize("count", [0, 20, 21])
def test_hold_out_needs_enough_images(count):
    with pytest.raises(DataError, match=f"cannot hold out {count} of 20"):
        hold_out(PICTURES, count)


def test_noise_depends_on_seed_epoch_and_index_alone():
    data = ImageDataset(PICTURES, noisy, seed=3)
    data.set_epoch(5)
    whole = served(data, 20)["pixel_values"]
    assert torch.equal(served(data, 7)["pixel_values"], whole)
    assert torch.equal(served(data, 7, range(19, -1, -1))["pixel_values"].flip(0), whole)
    again = ImageDataset(PICTURES, noisy, seed=3)
    assert not torch.equal(served(again, 20)["pixel_values"], whole)
    again.set_epoch(5)
    assert torch.equal(served(again, 20)["pixel_values"], whole)
    assert not torch.equal(served(ImageDataset(PICTURES, noisy, seed=4), 20)["pixel_values"], whole)


def test_one_item_is_the_batch_of_one():
    data = ImageDataset(PICTURES, noisy, seed=0)
    item, batch = data[4], data.__getitems__([4])
    assert item["labels"] == 4
    assert torch.equal(item["pixel_values"], batch["pixel_values"][0])
