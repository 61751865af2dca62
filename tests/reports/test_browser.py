"""The pages open in a browser without errors, on a phone as on a desk."""

import pytest

from browser import CHROMIUM, browse
from comparisons import BASELINE, R_DROP, comparison_of
from regdrop.reports.report import report
from reports.folders import diagnosis_of, write_study

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    study, diagnosis = (tmp_path_factory.mktemp(name) for name in ("study", "diagnosis"))
    write_study(study, comparison_of([*BASELINE[:3], "RuntimeError: out of memory"], R_DROP), diagnosed=True)
    (diagnosis / "diagnosis.json").write_text(diagnosis_of().to_json())
    return [report(study), report(diagnosis)]


@pytest.mark.parametrize(("width", "dark"), [(360, False), (390, True), (1280, False)])
def test_no_console_errors_and_no_sideways_scrolling(pages, width, dark):
    for page in pages:
        wide, high, console = browse(page, width, 4000, "--dump-dom", dark=dark)
        assert console == []
        assert wide == width
        assert high > 1000


def test_a_page_that_is_too_wide_is_noticed(tmp_path):
    """The check above can fail."""
    page = tmp_path / "wide.html"
    page.write_text("<title>wide</title><p style='width: 900px'>x<img src='missing.png'></p>")
    wide, _, _console = browse(page, 390, 4000, "--dump-dom")
    assert wide > 390
