from dataclasses import fields

from regdrop.studies.cost.ways import HALVED, WAYS
from regdrop.training.settings import RDropSettings


def test_names_differ_and_plain_is_first():
    names = [way.name for way in WAYS]
    assert len(set(names)) == len(names)
    assert [way.name for way in WAYS if way.options is None] == names[:1]


def test_every_option_is_a_key_of_recipes():
    keys = {field.name for field in fields(RDropSettings)}
    assert all(set(way.options or {}) <= keys for way in WAYS)


def test_a_batch_of_tokens_is_halved_by_its_own_key():
    assert HALVED.settings(4096, "max_tokens") == "--train.max_tokens 2048"
