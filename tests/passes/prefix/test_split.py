"""Which places are proposed, and which modules have to follow."""

import torch
from torch import nn

from passes.late import chain, late_vit
from regdrop.passes.dropout import noise_sources
from regdrop.passes.prefix.split import before_first_noise, before_last_noise, split_at
from regdrop.passes.prefix.trace import trace


def proposed(propose, model, x):
    seen = trace(model, lambda: model(x))
    active = [source for source in noise_sources(model) if source.active]
    return [split_at(model, seen, position) for position in propose(model, seen, active)]


def test_a_chain_parts_at_its_dropout():
    model = chain()
    (first,) = proposed(before_first_noise, model, torch.randn(3, 8))
    (last,) = proposed(before_last_noise, model, torch.randn(3, 8))
    assert (first.name, last.name) == ("5", "8")
    assert first.followers == (model[6], model[7], model[8], model[9])
    assert last.followers == (model[9],)
    weights = [8 * 16, 16 * 16, 16 * 16, 16 * 3]
    assert first.share == sum(weights[:2]) / sum(weights)


def test_what_encloses_the_noise_is_proposed_after_the_noise_itself():
    model = late_vit()
    splits = proposed(before_first_noise, model, torch.randn(2, 3, 16, 16))
    assert [split.name for split in splits] == ["blocks.4.attn.proj_drop", "blocks.4.attn", "blocks.4", "blocks"]
    block = splits[2]
    assert block.followers[0] is model.blocks[5]
    assert {model.norm, model.fc_norm, model.head_drop, model.head} <= set(block.followers)
    assert model.blocks[4].mlp not in block.followers  # it is called inside of the block, with rows of all passes
    assert model.blocks[3] not in block.followers


def test_noise_without_a_module_may_come_after_the_modules_beside_it():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.pool, self.head = nn.Linear(4, 4), nn.Identity(), nn.Linear(4, 2)
            self.head_dropout = 0.5

        def forward(self, x):
            return self.head(nn.functional.dropout(self.pool(self.body(x)), self.head_dropout, self.training))

    splits = proposed(before_first_noise, Functional(), torch.randn(2, 4))
    assert [split.name for split in splits] == ["head", "pool", "body"]


def test_the_last_call_of_a_module_that_is_called_twice_is_the_last_noise():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.body, self.head = nn.Dropout(0.5), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.drop(self.body(self.drop(x))))

    (first,) = proposed(before_first_noise, Twice(), torch.randn(2, 4))
    (last,) = proposed(before_last_noise, Twice(), torch.randn(2, 4))
    assert (first.nth, last.nth) == (0, 1)
    assert [len(split.followers) for split in (first, last)] == [2, 1]
