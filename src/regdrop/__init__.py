"""regdrop: R-Drop (regularized dropout, arXiv 2106.14448) as a correct, fast, one-line addition to any training.

Names are imported on first use, so that `regdrop --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regdrop.diagnostics.diagnose import diagnose as diagnose
    from regdrop.errors import RDropError as RDropError
    from regdrop.losses.alpha import paper_alpha as paper_alpha
    from regdrop.losses.divergence import symmetric_kl as symmetric_kl
    from regdrop.losses.linear import linear_r_drop_loss as linear_r_drop_loss
    from regdrop.losses.rdrop import RDropLoss as RDropLoss
    from regdrop.losses.rdrop import RDropOutput as RDropOutput
    from regdrop.losses.rdrop import r_drop_loss as r_drop_loss
    from regdrop.passes.attach import RDropHandle as RDropHandle
    from regdrop.passes.attach import attach as attach
    from regdrop.passes.paired import paired_forward as paired_forward

_HOME = {
    "RDropError": "regdrop.errors",
    "RDropHandle": "regdrop.passes.attach",
    "RDropLoss": "regdrop.losses.rdrop",
    "RDropOutput": "regdrop.losses.rdrop",
    "attach": "regdrop.passes.attach",
    "diagnose": "regdrop.diagnostics.diagnose",
    "linear_r_drop_loss": "regdrop.losses.linear",
    "paired_forward": "regdrop.passes.paired",
    "paper_alpha": "regdrop.losses.alpha",
    "r_drop_loss": "regdrop.losses.rdrop",
    "symmetric_kl": "regdrop.losses.divergence",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - one list, kept in _HOME
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'regdrop' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
