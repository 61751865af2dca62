"""paired_forward: K sub-models out of one model, with independent noise."""

from collections.abc import Collection
from contextlib import closing
from typing import Any

from torch import nn

from regdrop.passes.batch import Call
from regdrop.passes.dropout import require_noise
from regdrop.passes.modes import start
from regdrop.passes.options import ModeName, PassOptions
from regdrop.passes.request import Request, finish


def paired_forward(
    model: nn.Module,
    *args: Any,
    passes: int = 2,
    mode: ModeName = "concat",
    share_prefix: bool | str = False,
    pass_dropout: tuple[float, ...] | None = None,
    shared: Collection[str] = (),
    **kwargs: Any,
) -> Any:
    """Run a model K times on the same inputs with independent noise; batch tensors come back stacked `(K, B, ...)`.

    The batch size is size 0 of the first tensor of the main input (the first positional argument, else `input_ids`,
    `inputs_embeds`, `pixel_values`, `input_values`, `input_features`, else the first tensor). In mode "concat" every
    tensor whose dimension 0 has that size is repeated; other tensors, `cache_position`, `logits_to_keep` and
    `num_items_in_batch` are shared by the passes.

    Args:
        model: any module in train mode with active dropout.
        args: positional arguments of its forward, for one pass.
        passes: K >= 2.
        mode: "concat": one forward of `[x; x]`, fastest on most hardware; BatchNorm sees the K*B rows at once and
            updates its running statistics once. "sequential": K forwards of x, the activations of which add up all the
            same; BatchNorm updates K times. Inputs that are flattened over the batch (packed sequences, image patches)
            need "sequential" or "replay". "replay": the bits of "sequential" with the activations of one pass: all but
            the last keep none and are run again in backward, until which the model must not be changed. "shared":
            "concat" for less: what precedes the first noise runs on the B rows, the rest on K*B; the same random
            numbers, the same passes up to rounding. A BatchNorm that precedes sees each row once, as in a plain step.
            Where that cannot be had, "concat" runs, and the log says why. "head", an approximation: everything that
            precedes the *last* noise, the dropout before a classifier, runs once with one draw of its own noise, and
            only the rest K times.
        share_prefix: where the passes part in "shared" and "head". False or "auto": found by the order in which the
            modules run, and tried on two rows, once; True: there, or an error instead of "concat"; a module's name: at
            its entry, tried likewise. In mode "concat", all but False mean "shared".
        pass_dropout: the dropout rate of every pass, such as `(0.1, 0.3)`: it takes the place of every rate above 0 of
            what drops units (not of drop path and layer drop) while that pass runs, modules and functional dropout
            whose rate is kept on a module. In mode "concat" it means "sequential".
        shared: keywords not to repeat although their dimension 0 has the batch size.
        kwargs: keyword arguments of its forward, for one pass. Leave labels out: the model's own loss is not needed.

    Returns:
        What the model returns (tensor, tuple, dict, model output), each batch tensor with a leading dimension K.
        A tensor without the batch dimension is shared in "concat" and the mean over the passes in "sequential".

    Raises:
        InputError: fewer than two passes, an unknown mode, or no batched tensor among the arguments.
        NoNoiseError: no dropout acts, so the passes would agree.
        UnsupportedError: a flattened batch in mode "concat", passes that cannot part in mode "head" or where
            `share_prefix` says they must, or `pass_dropout` under gradient checkpointing.

    Source: Algorithm 1 of arXiv 2106.14448; its official code concatenates the batch as "concat" does. `pass_dropout`:
    its section 4.4.

    Relations: `r_drop_loss` takes the stacked logits; `attach` does both inside a model that returns its own loss.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from regdrop import r_drop_loss
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3))
        >>> logits = paired_forward(model, torch.randn(4, 8))
        >>> logits.shape
        torch.Size([2, 4, 3])
        >>> r_drop_loss(logits, torch.tensor([0, 1, 2, 0]), alpha=1.0).loss.backward()
    """
    options = PassOptions(passes=passes, mode=mode, share_prefix=share_prefix, pass_dropout=pass_dropout, shared=shared)
    require_noise(model, per_row=options.per_row)

    def forward(call: Call) -> Any:
        return model(*call.args, **call.kwargs)

    with closing(start(Request(model, Call(args, kwargs), options, forward))) as steps:
        return finish(steps, forward(next(steps)))
