"""Reports without pictures, for tests of what they say."""

import pytest

from regdrop.reports import html, page, writing


@pytest.fixture
def undrawn(monkeypatch):
    """Draw nothing."""
    monkeypatch.setattr(writing, "save_picture", lambda figure, path: None)
    monkeypatch.setattr(html, "themed_svg", lambda figure: "<svg/>")
    monkeypatch.setattr(page.Section, "figure", lambda section: None)
    monkeypatch.setattr(page.Panel, "figure", lambda panel: None)
