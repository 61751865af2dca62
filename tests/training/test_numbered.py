import torch
from torch.utils.data import DataLoader

from regdrop.training.numbered import NUMBERS, Numbered, NumberedCollate


class Fetched:
    """Data that is fetched a batch at a time, as images are."""

    def __len__(self):
        return 5

    def __getitems__(self, numbers):
        return {"x": torch.tensor(numbers) * 10}


def test_items_and_whole_batches_bring_their_places():
    single = DataLoader(Numbered([10, 20, 30]), 2, collate_fn=NumberedCollate(lambda items: {"x": torch.tensor(items)}))
    whole = DataLoader(Numbered(Fetched()), 2, collate_fn=NumberedCollate(lambda batch: batch))
    assert [batch["x"].tolist() for batch in single] == [[10, 20], [30]]
    for loader, count in ((single, 3), (whole, 5)):
        assert [number for batch in loader for number in batch[NUMBERS].tolist()] == list(range(count))
    assert [batch["x"].tolist() for batch in whole] == [[0, 10], [20, 30], [40]]


def test_what_was_fetched_without_numbers_stays_as_it_is():
    assert NumberedCollate(lambda batch: batch)({"x": 1}) == {"x": 1}
