"""Gather the evidence: every row of results/rows.yaml, one after another, and the page that is made of the records.

A row trains every arm of `regdrop study evidence` for every seed, with as many workers as there are cores and one
thread each, and leaves its record in docs/results/records.jsonl. Killed, it continues: runs that are done are not
repeated.

    python -m results.evidence --data FOLDER             all rows that have no record, or one of other settings
    python -m results.evidence sst2 rte --data FOLDER    these rows; runs that are in --runs are read, not repeated
    python -m results.evidence --page                    the page alone, from the records
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from regdrop.errors import RDropError
from regdrop.reports.study import report_study
from regdrop.studies.evidence import gather_evidence
from regdrop.studies.options import Options
from results.page import write_results
from results.rows import Row, chosen_rows, keep_record, read_records

_log = logging.getLogger("evidence")


def gather(row: Row, data: Path | None, runs: Path, workers: int) -> None:
    """Run one row, report it beside its runs, and keep its record."""
    out = runs / row.name
    study = gather_evidence(row.load(data), out, Options(seeds=row.seeds, workers=workers))
    _log.info(report_study(study, out))
    keep_record(row, study)
    write_results()


def main() -> int:
    """Run what was asked for; the exit status."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if arguments.page:
            write_results()
            return 0
        done = {} if arguments.rows else read_records()
        for row in chosen_rows(arguments.rows):
            if row.name not in done or done[row.name].settings != row.settings:
                gather(row, arguments.data, arguments.runs, arguments.workers)
    except RDropError as error:
        _log.error("error: %s", error)
        return error.exit_code
    return 0


def _arguments() -> argparse.Namespace:
    place = os.environ.get("REGDROP_DATA")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names; none: those without a record of their settings")
    parser.add_argument("--data", type=Path, default=place and Path(place), help="folder of the data (REGDROP_DATA)")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/evidence"), help="folder of the runs; another one, to repeat them"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="runs at a time (default: all cores)")
    parser.add_argument("--page", action="store_true", help="run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
