"""Where downloads lie."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads go: `$XDG_CACHE_HOME/regdrop`, else `~/.cache/regdrop`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regdrop"
