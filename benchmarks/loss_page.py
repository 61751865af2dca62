"""What `benchmarks.loss` measured, as tables, a picture and a page of the documentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records import markdown

FLOOR, INPLACE = "copy of the logits", "native, in place"
LARGE_CLASSES = 32000

Record = dict[str, Any]


def table(title: str, logits_bytes: int, records: Sequence[Record]) -> str:
    """The records of one size as Markdown, ratios of medians."""
    seconds = {record["case"]: record["median_seconds"] for record in records}
    rows = []
    for record in records:
        own, extra = seconds[record["case"]], record["extra_bytes"]
        ratios = [f"{seconds[peer] / own:.1f}x" for peer in ("official snippet", "careful version")]
        memory = "-" if extra is None else f"{extra / logits_bytes:.2f}"
        rows.append([record["case"], f"{own * 1e3:,.3f}", f"{own / seconds[FLOOR]:,.1f}", *ratios, memory])
    header = ["case", "ms", "copies", "against official", "against careful", "extra memory, in logits"]
    return f"### {title}\n\n{markdown(header, rows)}"


def headline(records: Sequence[Record]) -> str:
    """The large float32 sizes in one sentence, the careful version beside the official one."""
    large = [record for record in records if record["dtype"] == "float32" and record["classes"] >= LARGE_CLASSES]

    def ratios(slow: str, quick: str) -> str:
        seconds = [[r["median_seconds"] for r in large if r["case"] == name] for name in (slow, quick)]
        both = sorted(one / other for one, other in zip(*seconds, strict=True))
        return f"{both[0]:.1f}" if len(both) == 1 else f"{both[0]:.1f} to {both[-1]:.1f}"

    return (
        f"At V >= {LARGE_CLASSES:,}, value and gradient take {ratios('native', FLOOR)} times a copy of the logits with "
        f"the native backend ({ratios(INPLACE, FLOOR)} in place): {ratios('careful version', 'native')} times less "
        f"than a careful implementation, {ratios('official snippet', 'native')} times less than the official snippet."
    )


def picture(path: Path, records: Sequence[Record]) -> None:
    """Time over the floor against the number of classes, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    wide = [record for record in records if record["dtype"] == "float32" and record["classes"] >= 100]
    floor = {record["classes"]: record["median_seconds"] for record in wide if record["case"] == FLOOR}
    for name in dict.fromkeys(record["case"] for record in records):
        own = [(r["classes"], r["median_seconds"] / floor[r["classes"]]) for r in wide if r["case"] == name]
        axes.plot(*zip(*own, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="classes V", ylabel="time, in copies of the logits")
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=150)


def page(
    about: str,
    command: str,
    machine: dict[str, str | int],
    notice: str,
    name: str,
    records: Sequence[Record],
    tables: Sequence[str],
) -> str:
    """The page of the documentation that quotes a run; `about` says what was measured."""
    facts = ", ".join(f"{key} {value}" for key, value in machine.items())
    parts = [
        "# Speed of the loss",
        headline(records),
        f"Made by `{command}` ({facts}). {notice}",
        about,
        f"![Time over the floor against the number of classes]({name}.png)",
        *tables,
        Path(__file__).with_name("backends.md").read_text().strip(),
    ]
    return "\n\n".join(parts) + "\n"
