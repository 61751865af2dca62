"""The diagnosis of a subject, with all that is needed to repeat it."""

from datetime import UTC, datetime

from tqdm import tqdm

from regdrop.diagnostics.diagnose import diagnose
from regdrop.diagnostics.record import DiagnosisRecord
from regdrop.training.machine import machine
from regdrop.training.subjects.subject import Subject
from regdrop.training.summary import versions


def diagnose_subject(
    subject: Subject, command: str, *, passes: int = 8, seed: int = 0, progress: bool = True
) -> DiagnosisRecord:
    """Measure what dropout does to a subject's model; see `regdrop.diagnose`.

    Args:
        subject: the model and its batches.
        command: what repeats this, for the record.
        passes: sub-models K >= 2.
        seed: of the noise.
        progress: show a bar on standard error.

    Raises:
        InputError: fewer than two passes, or batches and labels that do not fit.
        NonFiniteError: the logits are NaN or infinite.
        UnsupportedError: a head that predicts no classes.

    Example:
        >>> from regdrop.training.subjects.find import Request, find_subject
        >>> subject = find_subject(Request("digits_vit", batches=1))
        >>> diagnose_subject(subject, "regdrop diagnose digits_vit", passes=2, progress=False).diagnosis.verdict.kind
        'hidden noise'
    """
    with tqdm(subject.batches, total=subject.count, unit="batch", leave=False, disable=not progress) as batches:
        found = diagnose(subject.model, batches, passes=passes, seed=seed)
    date = datetime.now(UTC).date().isoformat()
    return DiagnosisRecord(subject.name, subject.data, command, date, machine(), versions(), found)
