"""What holds where Paddle is absent: a clear error, and a page that quotes the example."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_without_paddle_the_error_says_how_to_get_it():
    code = "import sys; sys.modules['paddle'] = None; import regdrop.integrations.paddle"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == "regdrop.errors.MissingExtraError: paddlepaddle is not installed; run: pip install 'regdrop[paddle]'"


def test_the_page_quotes_the_example():
    page, example = (ROOT / path for path in ("docs/paddle.md", "examples/paddle_digits.py"))
    (quoted,) = re.findall(r"^```py\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert quoted in example.read_text()
