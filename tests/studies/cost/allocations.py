"""A run of known memory, importable by a fresh process."""

import torch

from regdrop.studies.cost.timing import Case

MEGABYTE = 1 << 20


def allocating(first, second, third):
    """Holds `first + second` megabytes, then `second + third`."""

    def run():
        one, two = (torch.ones(size * MEGABYTE // 4) for size in (first, second))
        del one
        return two, torch.ones(third * MEGABYTE // 4)

    return Case("allocating", run)
