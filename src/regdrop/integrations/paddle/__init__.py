"""R-Drop for PaddlePaddle: the convention, names and numbers of `regdrop.r_drop_loss`, without importing torch."""

from importlib.util import find_spec

from regdrop.errors import MissingExtraError

if find_spec("paddle") is None:
    raise MissingExtraError("paddlepaddle", "paddle")

from regdrop.integrations.paddle.rdrop import RDropLoss, RDropOutput, r_drop_loss

__all__ = ["RDropLoss", "RDropOutput", "r_drop_loss"]
