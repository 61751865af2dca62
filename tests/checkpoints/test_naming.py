"""The names of the table, and how a file's naming and prefix are found."""

import pytest

from regdrop.checkpoints.geometry import Geometry
from regdrop.checkpoints.naming import GOOGLE, OFFICIAL, PADDLE, TIMM, Naming, find_naming
from regdrop.errors import CheckpointError
from vit_reference import google_shapes

TINY = Geometry(64, 2, 96, heads=4, channels=3, patch=4, tokens=10, classes=10)


def keys(layout, prefix=""):
    return list(TINY.file_shapes(Naming(layout, prefix)))


def test_the_names_of_google():
    assert sorted(keys(GOOGLE)) == sorted(google_shapes())


def test_the_names_of_timm(build):
    assert keys(TIMM) == keys(PADDLE) == list(build().state_dict())


def test_the_official_names():
    official = keys(OFFICIAL)
    assert len(official) == 6 + 2 * 16 + 2
    assert "transformer.encoder.layer.1.attn.query.weight" in official
    assert {key.partition("layer.0.")[2] for key in official if "layer.0." in key} == {
        *(
            f"{name}.{kind}"
            for name in ("attention_norm", "ffn_norm", "ffn.fc1", "ffn.fc2")
            for kind in ("weight", "bias")
        ),
        *(f"attn.{name}.{kind}" for name in ("query", "key", "value", "out") for kind in ("weight", "bias")),
    }


@pytest.mark.parametrize("layout", [TIMM, OFFICIAL, GOOGLE])
@pytest.mark.parametrize("prefix", ["", "module.", "a/b/", "model.vit."])
def test_naming_and_prefix_are_found(layout, prefix):
    found = find_naming(keys(layout, prefix), [TIMM, OFFICIAL, GOOGLE])
    assert found == Naming(layout, prefix)
    assert found.depth(keys(layout, prefix)) == TINY.depth


def test_a_name_that_merely_ends_alike_is_no_vit():
    with pytest.raises(CheckpointError, match=r"is no ViT: it lacks patch_embed.proj.weight \(timm\)"):
        find_naming(["no_patch_embed.proj.weight"], [TIMM])


def test_a_key_of_a_stranger_is_shown_escaped_and_cut():
    with pytest.raises(CheckpointError) as caught:
        find_naming(["\x1b[2J\n" + "x" * 10_000], [TIMM])
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
