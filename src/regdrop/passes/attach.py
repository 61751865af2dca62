"""attach: R-Drop for any model that returns a loss, in one line."""

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from regdrop.errors import InputError, UnsupportedError
from regdrop.losses.inputs import check_alpha
from regdrop.losses.penalty import PenaltyName
from regdrop.passes.dropout import require_noise
from regdrop.passes.handle import RDropHandle
from regdrop.passes.heads import HeadName, find_head
from regdrop.passes.labels import LabelTaker
from regdrop.passes.options import ModeName, PassOptions
from regdrop.passes.output_layer import FusedHead, find_output_layer
from regdrop.passes.trainer import attach_callback, declare_shift, is_trainer

__all__ = ["RDropHandle", "attach", "unwrapped"]

WRAPPERS = {"DistributedDataParallel": "module", "FullyShardedDataParallel": "module", "OptimizedModule": "_orig_mod"}


def attach(
    model: Any,
    alpha: float,
    *,
    passes: int = 2,
    every: int = 1,
    mode: ModeName = "concat",
    share_prefix: bool | str = False,
    twin_fraction: float = 1.0,
    pass_dropout: tuple[float, ...] | None = None,
    penalty: PenaltyName = "kl",
    task: HeadName | None = None,
    labels: str = "labels",
    keep_labels: bool = False,
    shared: Collection[str] = (),
    label_smoothing: float = 0.0,
    class_weight: Tensor | None = None,
    fused_head: FusedHead = "auto",
) -> RDropHandle:
    """Add R-Drop to a model that returns a loss: its training forwards run K passes and return the R-Drop loss.

        loss = sum_k task(z_k, y) + alpha * mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)],   z_k: pass k

    as the mean over the valid items of the batch; with `num_items_in_batch` among the arguments (transformers' Trainer
    passes it) it is divided by that count instead, so that accumulated micro-batches and processes add up to the mean
    over the whole global batch. Forward hooks do it: the class, signature, parameters and state_dict of the model stay
    as they are, and in eval mode nothing happens at all.

    In train mode the output is of the model's own type with `loss` replaced and the batch tensors of the first pass; a
    tuple (`return_dict=False`) has the loss in front. Labels are withheld from the model where it can do without.
    `use_cache` is off unless it is passed. A mixture of experts' auxiliary loss is added once a pass.

    Args:
        model: a transformers or PEFT model, or any module whose forward takes labels and returns logits in a tuple or
            dict; also wrapped in DistributedDataParallel, FSDP or torch.compile. Or a `transformers.Trainer`: then `kl`
            and `task_loss` are in its training log records too.
        alpha: weight of the divergence, in this library's one convention; `paper_alpha` translates others.
        passes: K >= 2.
        every: k-step R-Drop: only every k-th step has K passes. The steps between are plain single passes whose loss is
            K times the task loss, so that the scale of the gradient stays. A step is an optimizer step under a Trainer
            or with `RDropHandle.begin_step`, else a training forward.
        mode: how the passes run, and which arguments are repeated; see `paired_forward`.
        share_prefix: run what precedes the first noise once a step, and only the rest for every pass; the gradient
            stays that of "concat". "auto": where it can be had, as mode "shared" does; True: there, or an error at the
            first training forward; a module's name: up to that module, or an error.
        twin_fraction: let the second of two passes take only this share of the rows, at least one, drawn anew in each
            forward by torch's random numbers. A row left out counts its one task loss for both passes, and the
            divergence of the others is scaled up: loss, gradient and `kl` are unbiased estimates of what 1.0 gives.
        pass_dropout: one dropout rate a pass, such as `(0.1, 0.3)`; see `paired_forward`. Plain steps have the model's
            own rates.
        penalty: what alpha weighs. "kl": the divergence above. To compare it with, on heads that predict classes or
            labels: "logit_mse", the mean over pairs and classes of the squared difference of two passes' logits;
            "full_kl", the mean over passes of KL(p||p_k), where p is what the full model predicts in eval mode and
            carries no gradient: one forward more. `kl` remains the divergence above.
        task: what the head computes, where its class does not say it: "classification", "regression", "multilabel",
            "causal_lm" (labels not shifted), "seq2seq_lm" or "question_answering".
        labels: the argument of the forward that holds the target.
        keep_labels: call the model with its labels although it has a default of None for them, for a model whose logits
            depend on whether they are there.
        shared: keywords not to repeat although their dimension 0 has the batch size.
        label_smoothing: see `r_drop_loss`; for classification heads.
        class_weight: see `r_drop_loss`; for classification heads.
        fused_head: compute the output layer of a language model together with the loss, `linear_r_drop_loss`, so that
            its logits are never held; `logits` of training outputs are None then. "auto": where that is safe (a
            transformers model with a plain linear layer, or one with a method `r_drop_loss` of its own, not sharded,
            whose result it returns unchanged, tried on one token); True: there, or an error; False: never.

    Returns:
        An `RDropHandle`: `alpha` may be changed, `kl` and `task_loss` read, `pop_metrics()` logged, `remove()` called.

    Raises:
        InputError: R-Drop is attached already, or an argument is out of range.
        NoNoiseError: all dropout rates are 0, here or at the first training forward.
        UnsupportedError: a head without a known loss, a Trainer that takes the labels away, or `fused_head=True` where
            it is not safe; at the first training forward another `penalty` than "kl" on a regression, or `pass_dropout`
            under gradient checkpointing.

    Source: Eq. 4 and Algorithm 1 of arXiv 2106.14448; `every`: its section 4.2, `pass_dropout`: 4.4, `penalty`: 2.4,
    see `regdrop.losses.penalty`.

    Relations: `paired_forward` and `r_drop_loss` are the two halves, for a training step of your own.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.body = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3))
        ...     def forward(self, x, labels=None):
        ...         return {"logits": self.body(x)}
        >>> model = Net()
        >>> handle = attach(model, alpha=1.0)
        >>> out = model(torch.randn(4, 8), labels=torch.tensor([0, 1, 2, 0]))
        >>> out["loss"].backward()
        >>> out["logits"].shape, sorted(handle.pop_metrics())
        (torch.Size([4, 3]), ['kl', 'task_loss'])
    """
    trainer = model if is_trainer(model) else None
    module: Any = unwrapped(model if trainer is None else trainer.model)
    if any(isinstance(getattr(hook, "__self__", None), RDropHandle) for hook in module._forward_pre_hooks.values()):
        raise InputError(f"R-Drop is attached to this {type(module).__name__} already; call remove() on its handle")
    check_alpha(alpha)
    options = PassOptions(
        passes=passes,
        every=every,
        mode=mode,
        share_prefix=share_prefix,
        twin_fraction=twin_fraction,
        pass_dropout=pass_dropout,
        penalty=penalty,
        shared=shared,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
    )
    require_noise(module, per_row=options.per_row, in_train_mode=True)
    inner = module.get_base_model() if hasattr(module, "get_base_model") else module
    head = find_head(inner, task, labels)
    taker = LabelTaker(module, inner, head, keep_labels)
    layer = find_output_layer(inner, head, fused_head, penalty)
    handle = RDropHandle(module, taker, alpha, options, layer)
    if head.shifts:
        declare_shift(inner, trainer, handle)
    if trainer is not None:
        attach_callback(trainer, handle)
    return handle


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside DistributedDataParallel, FSDP and torch.compile.

    Raises:
        UnsupportedError: nn.DataParallel, whose replicas share no state with the module.
    """
    while (wrapper := type(model).__name__) in WRAPPERS:
        model = getattr(model, WRAPPERS[wrapper])
    if isinstance(model, nn.DataParallel):
        raise UnsupportedError("R-Drop does not act under nn.DataParallel; use DistributedDataParallel (torchrun)")
    return model
