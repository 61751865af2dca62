"""What a reader of a page sees, as text; and which of its numbers the records do not hold."""

import re
from html.parser import HTMLParser

NUMBER = re.compile(r"(?<![\w.#-])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?%?")
# 95 % intervals, running means over 1/25 of a run, bands of ± 1 sd
PROSE = {"95", "1", "25"}


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.parts, self.tags, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.append((tag, named))
        self.parts.append(named.get("alt") or "")
        self.parts.append(named.get("aria-label") or "")
        if tag in ("style", "script"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        self.parts.append(" ")

    def handle_data(self, data):
        if not self.open:
            self.parts.append(data)


def read(html):
    """Visible text, alternatives of pictures among it, and the tags with their attributes."""
    reader = _Reader()
    reader.feed(html)
    return "\n".join(reader.parts), reader.tags


def leaves(value):
    """Every number and every text of nested records."""
    stack, numbers, texts = [value], [], []
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            stack += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            stack += each
        elif isinstance(each, str):
            texts.append(each)
        elif each is not None and not isinstance(each, bool):
            numbers.append(float(each))
    return numbers, texts


def _forms(number):
    for scale in (1, 100):
        value = scale * number
        for digits in range(5):
            yield from (f"{value:.{digits}f}", f"{value:+.{digits}f}", f"{value:,.{digits}f}")
        yield from (f"{value:.2g}", f"{value:.3g}", f"{value:.4g}", f"{value:g}")


def unfound(text, records, derived):
    """The numbers of a text that are neither in the records nor computed from them, in any form people read."""
    numbers, texts = leaves(records)
    known = {form for number in [*numbers, *derived] for form in _forms(number)} | PROSE
    known |= {token.rstrip("%") for each in texts for token in NUMBER.findall(each)}
    return [token for token in NUMBER.findall(text) if token.rstrip("%") not in known]
