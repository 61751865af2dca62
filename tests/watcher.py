"""What a computation allocates and multiplies, seen operation by operation."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = (torch.ops.aten.mm.out, torch.ops.aten.addmm.out)


class Watcher(TorchDispatchMode):
    """Records the largest tensor that was made, and the products that were written into a buffer.

    Attributes:
        most_bytes: of the largest tensor.
        rows: of the products together.
        dtypes: in which they were computed.
    """

    def __init__(self):
        super().__init__()
        self.most_bytes, self.rows, self.dtypes = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.most_bytes = max(self.most_bytes, result.untyped_storage().nbytes())
        if func in PRODUCTS:
            self.rows += result.shape[0]
            self.dtypes.add(result.dtype)
        return result
