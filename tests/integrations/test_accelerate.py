"""accelerate as docs/trainers.md and the example have it, against two passes by hand in float64."""

from integrations import accelerate_step as step
from integrations.page import PAGE, blocks
from integrations.pair import saved_by_two
from passes import two_pass
from passes.tiny import collate

EXAMPLE = PAGE.parent.parent / "examples" / "accelerate_loop.py"


def test_two_processes_with_two_uneven_micro_batches_each_are_one_batch(tmp_path):
    found = saved_by_two("integrations.accelerate_step", tmp_path / "gradients.pt")
    whole = collate(step.TOKENS.samples(step.SAMPLES))
    expected = two_pass.reference(step.TOKENS.model(), step.TOKENS.kind, whole, step.ALPHA)[3]
    assert two_pass.relative_error(found, expected) < 1e-9


def test_the_page_quotes_the_example():
    (quoted,) = [block for block in blocks() if "accelerator" in block]
    assert quoted in EXAMPLE.read_text()
