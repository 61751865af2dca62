"""Paddle's files in every form Paddle writes them, hostile ones, and, where Paddle is installed, Paddle itself."""

import io
import pickle
import struct
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import vit_reference as tiny
from regdrop.checkpoints import refusals
from regdrop.checkpoints.pdparams import read_pdparams, write_pdparams
from regdrop.checkpoints.vit import load_vit, save_vit
from regdrop.errors import CheckpointError

TABLE = "StructuredToParameterName@@"


class PaddlePickler(pickle._Pickler):
    """Pickles a dict of arrays byte for byte as Paddle does under a NumPy whose core is called `core`."""

    def __init__(self, file, protocol, core):
        super().__init__(file, protocol)
        self.core = core

    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", "")
        if not module.startswith(("numpy.core", "numpy._core")):
            return super().save_global(obj, name)
        module = f"{self.core}.{module.rpartition('.')[2]}"
        if self.proto >= 4:
            self.save(module)
            self.save(obj.__name__)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)
        return None

    dispatch = pickle._Pickler.dispatch | {type(pickle.dumps): save_global, type(open): save_global}


def pickled(content, protocol=4, core="numpy.core"):
    file = io.BytesIO()
    PaddlePickler(file, protocol, core).dump(content)
    return file.getvalue()


def written(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else pickled(content, **options))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pdparams"


ARRAYS = arrays_of.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    arrays_of.array_shapes(max_dims=4, max_side=4),
    elements=st.floats(-100, 100, width=16),
)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
@settings(max_examples=15, deadline=None)
@given(array=ARRAYS, fortran=st.booleans(), ordered=st.booleans())
def test_every_form_is_read(tmp_path_factory, core, protocol, array, fortran, ordered):
    content = {"head.bias": np.asfortranarray(array) if fortran else array, "w": array[:1].copy()}
    content[TABLE] = {"head.bias": "linear_0.b_0", "w": "linear_0.w_0"}
    data = pickled(OrderedDict(content) if ordered else content, protocol, core)
    assert f"{core}.multiarray".encode() in data
    state = read_pdparams(written(tmp_path_factory.getbasetemp() / "a.pdparams", data))
    assert state.keys() == {"head.bias", "w"}
    assert np.array_equal(state["head.bias"].numpy(), array)
    assert np.array_equal(state["w"].numpy(), array[:1])


def test_the_pickler_of_the_tests_writes_what_pickle_writes():
    content = {"w": np.ones((2, 3), np.float32), TABLE: {"w": "linear_0.w_0"}}
    own = np.ndarray.__reduce__(np.ones(1))[0].__module__.rpartition(".")[0]
    for protocol in (2, 4):
        back = pickle.loads(pickled(content, protocol, own))  # noqa: S301
        assert back["w"].tolist() == content["w"].tolist()
    assert pickled(content, 2, own) == pickle.dumps(content, 2)


def test_numpy_unpickles_what_is_written(path):
    """As Paddle does; the trusted file of a test is the one place where pickle may load."""
    state = {"w": torch.randn(3, 4), "b": torch.randn(4), "cls": torch.randn(1, 1, 4), "scalar": torch.tensor(2.0)}
    write_pdparams(state, path)
    content = pickle.loads(path.read_bytes())  # noqa: S301
    assert all(np.array_equal(content[key], weight.numpy()) for key, weight in state.items())
    assert content["w"].flags.writeable
    assert all(torch.equal(weight, state[key]) for key, weight in read_pdparams(path).items())


def test_weights_lie_in_the_memory_that_was_read(path):
    weight = read_pdparams(written(path, {"w": np.ones(100, np.float32)}))["w"]
    weight += 1
    assert bool((weight == 2).all())


class Tripwire:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("place", ["value", "object array", "name table"])
def test_calls_are_refused_and_not_made(path, protocol, place):
    trap = Tripwire(path.with_name("trace"))
    content = {
        "value": {"head.bias": trap},
        "object array": {"head.bias": np.array([trap], dtype=object)},
        "name table": {TABLE: {"head.bias": trap}},
    }[place]
    with pytest.raises(
        CheckpointError, match=r"calls '_?io' 'open'.*not allowed; nothing was run near key 'head.bias'"
    ):
        read_pdparams(written(path, pickle.dumps(content, protocol)))
    assert not trap.path.exists()


OTHERS = {
    "objects": ({"w": np.array([None, 1], dtype=object)}, "'w' has dtype 'O8'"),
    "integers": ({"w": np.ones(2, np.int64)}, "'w' has dtype 'i8'"),
    "bfloat16 bits": ({"w": np.ones(2, np.uint16)}, "'w' has dtype 'u2'"),
    "big-endian": ({"w": np.ones(2, ">f4")}, "'w' has dtype 'f4'"),
    "text": ({"w": np.array(["a"])}, "'w' has dtype 'U1'"),
    "number": ({"w": np.ones(2, np.float32), "epoch": 3}, "'epoch' holds a int"),
    "nested": ({"model": {"w": np.ones(2, np.float32)}}, "'model' holds a dict"),
    "list": ([np.ones(2, np.float32)], "holds a list"),
    "scalar": ({"w": np.float32(3)}, "scalar"),
    "empty": ({"w": np.ones((0, 3), np.float32)}, "damaged shape"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_dict_of_float_arrays_is_refused(path, other):
    content, message = OTHERS[other]
    with pytest.raises(CheckpointError, match=message):
        read_pdparams(written(path, content))


ONES = pickled({"w": np.ones((2, 3), np.float32)}, protocol=2, core="numpy._core")
SHAPE = b"K\x02K\x03\x86"
LIES = {
    "larger": ({SHAPE: b"J\xff\xff\xff\x7fK\x03\x86"}, "declares shape"),
    "smaller": ({SHAPE: b"K\x02K\x02\x86"}, "declares shape"),
    "negative": ({SHAPE: b"J\xfe\xff\xff\xffJ\xfd\xff\xff\xff\x86"}, "damaged shape"),
    "true": ({SHAPE: b"K\x06\x88\x86"}, "damaged shape"),
    "many dimensions": ({SHAPE: b"(K\x06" + b"K\x01" * 40 + b"t"}, "damaged shape"),
    "no tuple": ({SHAPE: b"K\x06"}, "no plain array"),
    "another version": ({b"(K\x01K\x02": b"(K\x07K\x02"}, "no plain array"),
    "another type of numbers": ({b"X\x02\x00\x00\x00f4": b"X\x02\x00\x00\x00O8"}, "dtype 'O8'"),
    "a comma of types": ({b"X\x02\x00\x00\x00f4": b"X\x05\x00\x00\x00f4,f4"}, "dtype 'f4,f4'"),
    "a subtype": ({b"cnumpy\nndarray\n": b"cnumpy\ndtype\n"}, "no plain array"),
    "a preset size": ({b"K\x00\x85": b"J\xff\xff\xff\x7f\x85"}, "no plain array"),
    "another text encoding": ({b"latin1": b"utf_32"}, "encode with what it does not take"),
    "text beyond latin1": (
        {b"X\x01\x00\x00\x00b": b"X\x03\x00\x00\x00\xe2\x82\xac"},
        "encode with what it does not take",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_arrays_that_lie_are_refused(path, lie):
    changes, message = LIES[lie]
    content = ONES
    for old, new in changes.items():
        assert content.count(old) == 1
        content = content.replace(old, new)
    with pytest.raises(CheckpointError, match=message):
        read_pdparams(written(path, content))


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def test_text_is_turned_into_bytes_no_more_often_than_the_file_is_long(path):
    """One text of 10 kB, encoded a thousand times, would take a thousand times its size."""
    once = b"h\x00h\x01h\x02\x86R"
    content = b"\x80\x02c_codecs\nencode\nq\x00" + text(b"a" * 10_000) + b"q\x01" + text(b"latin1") + b"q\x02"
    with pytest.raises(CheckpointError, match="encode with what it does not take"):
        read_pdparams(written(path, content + b"(" + once * 1000 + b"t."))


def test_one_array_under_many_names_is_refused(path):
    array = np.ones(1000, np.float32)
    with pytest.raises(CheckpointError, match="weights are repeated"):
        read_pdparams(written(path, {f"w{i}": array for i in range(10)}))


def test_too_many_weights_are_refused(path, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_TENSORS", 9)
    with pytest.raises(CheckpointError, match="10 entries"):
        read_pdparams(written(path, {f"w{i}": np.ones(1, np.float32) for i in range(10)}))


@settings(max_examples=500, deadline=None)
@given(place=st.integers(0, 10_000), new=st.binary(min_size=1, max_size=10), protocol=st.sampled_from([2, 4]))
def test_random_damage_ends_in_checkpoint_error_alone(tmp_path_factory, place, new, protocol):
    content = pickled({"w": np.ones((2, 3), np.float32), TABLE: {"w": "w_0"}}, protocol)
    place %= len(content)
    path = tmp_path_factory.getbasetemp() / "damaged.pdparams"
    with suppress(CheckpointError):
        state = read_pdparams(written(path, content[:place] + new + content[place + len(new) :]))
        assert all(isinstance(weight, torch.Tensor) for weight in state.values())


@pytest.mark.parametrize("qkv_bias", [True, False])
@pytest.mark.parametrize(("protocol", "core"), [(2, "numpy.core"), (4, "numpy.core"), (4, "numpy._core")])
def test_a_vit_as_paddle_writes_it(state, logits, path, qkv_bias, protocol, core):
    """Every Linear weight [in, out], query, key and value fused along the columns."""
    kept = {key: weight for key, weight in state.items() if qkv_bias or "qkv.bias" not in key}
    linear = {key for key, weight in kept.items() if key.endswith("weight") and weight.ndim == 2}
    content = {key: weight.numpy().T.copy() if key in linear else weight.numpy() for key, weight in kept.items()}
    assert content["blocks.0.attn.qkv.weight"].shape == (tiny.WIDTH, 3 * tiny.WIDTH)
    back = load_vit(written(path, content | {TABLE: {}}, protocol=protocol, core=core))
    assert torch.equal(logits(back, qkv_bias=qkv_bias), logits(kept, qkv_bias=qkv_bias))


@pytest.mark.paddle
def test_paddle_reads_and_writes_the_same_vit(state, path):
    paddle = pytest.importorskip("paddle")
    save_vit(state, path)
    loaded = paddle.load(str(path))
    assert loaded["blocks.0.attn.qkv.weight"].shape == [tiny.WIDTH, 3 * tiny.WIDTH]
    for protocol in (2, 3, 4):
        paddle.save(loaded, str(path), protocol=protocol)
        back = load_vit(path)
        assert all(torch.equal(back[key], weight) for key, weight in state.items())


def paddle_logits(paddle, w, images):
    """The ViT in Paddle's own operations, from a state dict that Paddle has loaded."""
    F = paddle.nn.functional

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, [tiny.WIDTH], w[f"{name}.weight"], w[f"{name}.bias"], epsilon=1e-6)

    x = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=tiny.PATCH)
    x = paddle.concat([w["cls_token"].expand([len(images), -1, -1]), x.flatten(2).transpose([0, 2, 1])], axis=1)
    x = x + w["pos_embed"]
    for i in range(tiny.DEPTH):
        block = f"blocks.{i}"
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
        q, k, v = qkv.reshape([len(images), tiny.TOKENS, 3, tiny.HEADS, -1]).transpose([2, 0, 3, 1, 4])
        mixed = F.softmax(q @ k.transpose([0, 1, 3, 2]) * (tiny.WIDTH // tiny.HEADS) ** -0.5) @ v
        x = x + linear(mixed.transpose([0, 2, 1, 3]).flatten(2), f"{block}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
    return linear(norm(x, "norm")[:, 0], "head")


@pytest.mark.paddle
def test_paddle_computes_what_timm_does(state, logits, path):
    paddle = pytest.importorskip("paddle")
    save_vit(state, path)
    found = paddle_logits(paddle, paddle.load(str(path)), paddle.to_tensor(tiny.image().numpy()))
    assert np.allclose(found.numpy(), logits(state).numpy(), rtol=0, atol=1e-5)
