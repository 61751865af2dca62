"""A page in headless Chromium, where there is one: what it logs, how wide it is, how it looks."""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--allow-file-access-from-files", "--enable-logging=stderr", "--v=0"),
)
# A frame can be narrower than the smallest window, and tells its own width although the page itself may run nothing.
FRAME = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 0 }}
iframe {{ border: 0; display: block }}</style>
<iframe src="{url}" width="{width}" height="{height}"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  document.body.dataset.seen = [page.title.length, page.documentElement.scrollWidth, page.documentElement.scrollHeight];
}});
</script>"""


def browse(page, width, height=4000, *options, dark=False):
    """Open a page in a frame; returns its width and height and the lines of its console."""
    with TemporaryDirectory() as scratch:
        frame = Path(scratch) / "frame.html"
        frame.write_text(FRAME.format(url=Path(page).resolve().as_uri(), width=width, height=height))
        theme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        size = f"--window-size={max(width, 500)},{height}"
        words = [CHROMIUM, *QUIET, f"--user-data-dir={scratch}/profile", theme, size, *options, frame.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    seen = re.search(r'data-seen="(\d+),(\d+),(\d+)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return (int(seen[2]), int(seen[3]) if int(seen[1]) else None, console) if seen else (None, None, console)
