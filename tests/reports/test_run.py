import pytest
from PIL import Image

from regdrop.errors import DataError
from regdrop.reports.run import report_run
from regdrop.training import run
from tiny import tiny_recipe


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_a_finished_run_gets_its_picture(tmp_path, enabled):
    summary = run.train(tiny_recipe(rdrop__enabled=enabled), tmp_path / "run", seed=2, progress=False)
    picture = report_run(summary, tmp_path / "run")
    with Image.open(picture) as image:
        image.load()
        assert image.width > 4 * image.height if enabled == "true" else image.width > 3 * image.height
    (tmp_path / "run" / "records.jsonl").unlink()
    with pytest.raises(DataError, match=r"records\.jsonl"):
        report_run(summary, tmp_path / "run")
