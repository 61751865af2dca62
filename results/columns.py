"""The arms of a row by what they stand for in the tables: the same words in every row, the decisive ones first."""

from dataclasses import dataclass

from regdrop.studies.result import ArmResult, StudyResult
from regdrop.studies.statistics import PairedDifference, paired_difference

BASELINE = "baseline"
NO_DROPOUT, DROPOUT, SMOOTHING = "no dropout", "dropout", "label smoothing"
WIDE, LONG, R_DROP, CHEAP = "2 x batch", "2 x steps", "R-Drop", "cheap R-Drop"
COLUMNS = (DROPOUT, R_DROP, LONG, WIDE, CHEAP, SMOOTHING, NO_DROPOUT)


@dataclass(frozen=True, slots=True)
class Columns:
    """One row's arms.

    Attributes:
        arms: column -> arm; a column that the row does not have is not there.
        reference: the baseline: the recipe without R-Drop, with its dropout and its label smoothing if any.
        tried: the alphas that were tried with one seed and not chosen.
    """

    arms: dict[str, ArmResult]
    reference: ArmResult
    tried: tuple[ArmResult, ...]

    @property
    def every(self) -> tuple[ArmResult, ...]:
        """The arms of the columns, each once."""
        return tuple({arm.name: arm for arm in (*self.arms.values(), self.reference)}.values())

    def difference(self, column: str, reference: str | None = None, key: str = "") -> PairedDifference | None:
        """A column minus the reference, or minus another column, in a metric; None where one has no value."""
        one, other = self.arms.get(column), self.arms.get(reference) if reference else self.reference
        if one is None or other is None or not one.values(key).keys() & other.values(key).keys():
            return None
        return paired_difference(one.values(key), other.values(key))


def columns_of(study: StudyResult) -> Columns:
    """Sort the arms of a study of evidence into columns.

    Where the recipe smooths labels, plain dropout is the arm without, and the reference is that with label smoothing.
    """
    named = {arm.name: arm for arm in study.arms}
    chosen = study.choice.arm if study.choice else ""
    reference, bare = named["baseline"], named.get("no-smoothing")
    found = {
        NO_DROPOUT: named.get("no-dropout"),
        DROPOUT: bare or reference,
        SMOOTHING: reference if bare else named.get("label-smoothing"),
        WIDE: named.get("wide-batch"),
        LONG: next((arm for name, arm in named.items() if name.startswith("baseline-x")), None),
        R_DROP: named.get(chosen),
        CHEAP: next((arm for name, arm in named.items() if name.startswith("twins-")), None),
    }
    tried = tuple(arm for name, arm in named.items() if name.startswith("alpha-") and name != chosen)
    return Columns({column: arm for column, arm in found.items() if arm}, reference, tried)
