"""A dropout whose mask depends on (sample, pass) and nothing else, put in the place of torch's.

The mask of an element is a hash of its sample, its pass and its coordinates within the sample. Splitting a batch over
micro-batches or processes, padding it, repeating it or recomputing it therefore cannot change the mask.
"""

from contextlib import contextmanager

import torch
import torch.nn.functional as functional

PRIMES = (73_856_093, 19_349_663, 83_492_791, 49_979_687, 67_867_967)
INPUTS = ("input_ids", "inputs_embeds", "pixel_values")


class SampleMasks:
    """The rows of the forward under way: which sample and which pass each of them is."""

    def __init__(self, first_pass, forwards, rows_of=1):
        self.codes = None
        self.rows_of = rows_of
        self.first_pass = first_pass
        self.forwards = forwards
        self.seen = 0

    def see(self, args, kwargs):
        """Read the samples off the first element of each row of the model's input, which must be unique."""
        rows = next(kwargs[name] for name in INPUTS if kwargs.get(name) is not None) if not args else args[0]
        samples = (rows.detach().flatten(1)[:, 0].double() * 1024).round().long()
        if len(samples.unique()) == len(samples):  # rows of one pass, which part further on
            samples = samples.repeat(self.rows_of)
        earlier = (samples[:, None] == samples[None, :]).tril(-1).sum(1)
        self.codes = samples * 8191 + (earlier + self.first_pass + self.seen % self.forwards) * 131
        self.seen += 1

    def dropout(self, input, p=0.5, training=True, inplace=False):
        """Stands in for torch.nn.functional.dropout."""
        if not training or p == 0:
            return input
        return input * self.keep(input.shape, p).to(input.dtype) / (1 - p)

    def keep(self, shape, p):
        codes = self.codes[: shape[0]]  # rows of one pass only, where a model is tried before its passes part
        per_sample = shape[0] // len(codes)  # several rows a sample: multiple choice
        choice = torch.arange(per_sample, device=codes.device).repeat(len(codes))
        hashed = (codes.repeat_interleave(per_sample) * 31 + choice).view(-1, *[1] * (len(shape) - 1))
        for dimension, prime in zip(range(1, len(shape)), PRIMES, strict=False):
            at = torch.arange(shape[dimension], device=hashed.device) + 1
            hashed = hashed + (at * prime).view(-1, *[1] * (len(shape) - 1 - dimension))
        for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 0x1B873593)):
            hashed = ((hashed ^ (hashed >> shift)) * factor) & 0x7FFFFFFF
        return (hashed & 0xFFFFFF).double() / 2**24 >= p


@contextmanager
def per_sample_masks(model, first_pass=0, forwards=1, rows_of=1):
    """Replace functional dropout (and so every dropout module) while the block runs.

    Enter after `attach`, so that the rows seen are the repeated ones. `forwards` in a row are the passes of one step.
    Where the noise starts late and rows of one pass become rows of `rows_of` passes before it, it has those rows.
    """
    masks, original = SampleMasks(first_pass, forwards, rows_of), functional.dropout
    hook = model.register_forward_pre_hook(lambda module, args, kwargs: masks.see(args, kwargs), with_kwargs=True)
    functional.dropout = masks.dropout
    try:
        yield masks
    finally:
        functional.dropout = original
        hook.remove()
