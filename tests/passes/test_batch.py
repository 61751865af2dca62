"""The batch rule."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.errors import InputError, UnsupportedError
from regdrop.passes.batch import Call, batch_size, repeat_batch


def test_the_main_input_says_the_batch_size():
    mask, ids = torch.zeros(1, 5), torch.zeros(3, 5)
    assert batch_size(Call((), {"attention_mask": mask, "input_ids": ids})) == 3
    assert batch_size(Call((), {"attention_mask": mask, "input_ids": None, "inputs_embeds": ids})) == 3
    assert batch_size(Call((torch.zeros(2),), {"input_ids": ids})) == 2
    assert batch_size(Call((), {"scale": torch.tensor(1.0), "x": ids})) == 3
    assert batch_size(Call(({"images": [ids]},), {})) == 3


def test_no_batched_tensor_is_refused_with_what_was_given():
    with pytest.raises(InputError, match=r"\(str, scale: Tensor\), so the batch size is unknown"):
        batch_size(Call(("text",), {"scale": torch.tensor(1.0)}))


@given(
    batch=st.integers(1, 4),
    passes=st.integers(2, 4),
    other=st.integers(1, 9),
    shape=st.lists(st.integers(1, 3), max_size=3),
)
def test_batch_tensors_are_repeated_pass_by_pass_and_others_shared(batch, passes, other, shape):
    x, y = torch.randn(batch, *shape), torch.randn(other, *shape)
    call = repeat_batch(Call((x,), {"deep": [{"y": y}], "flag": True, "scale": torch.tensor(2.0)}), passes)
    repeated = call.args[0].view(passes, batch, *shape)
    assert all(torch.equal(part, x) for part in repeated)
    (inner,) = call.kwargs["deep"]
    assert inner["y"].shape[0] == (other * passes if other == batch else other)
    assert call.kwargs["flag"] is True
    assert call.kwargs["scale"].ndim == 0


def test_named_tensors_are_never_repeated():
    names = {name: torch.arange(3) for name in ("cache_position", "logits_to_keep", "num_items_in_batch", "table", "x")}
    call = repeat_batch(Call((torch.zeros(3, 2),), names), 2, shared=("table",))
    assert {name: len(value) for name, value in call.kwargs.items()} == dict.fromkeys(names, 3) | {"x": 6}


def test_a_flattened_batch_is_refused():
    with pytest.raises(UnsupportedError, match=r"flattened .*mode='sequential'"):
        repeat_batch(Call((), {"input_ids": torch.zeros(1, 9), "cu_seq_lens_q": torch.tensor([0, 4, 9])}), 2)
