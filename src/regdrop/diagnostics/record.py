"""A diagnosis with all that is needed to repeat it."""

import json
from dataclasses import asdict, dataclass

from regdrop.diagnostics.diagnosis import Diagnosis

DIAGNOSIS = "diagnosis.json"


@dataclass(frozen=True, slots=True)
class DiagnosisRecord:
    """What `diagnosis.json` holds.

    Attributes:
        model: what was diagnosed, in words.
        data: what on.
        command: repeats it.
        date: when, UTC.
        machine: what on.
        versions: of Python and the packages that decide the numbers.
        diagnosis: what was found.
    """

    model: str
    data: str
    command: str
    date: str
    machine: str
    versions: dict[str, str]
    diagnosis: Diagnosis

    def to_json(self) -> str:
        """The record as a JSON object over several lines."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"
