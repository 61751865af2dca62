"""What the tests read off docs/trainers.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "trainers.md"


def blocks():
    """Its fragments of code, which need names of their reader's; the complete ones are run by test_docs.py."""
    return re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
