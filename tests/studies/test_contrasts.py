"""Contrasts cover what both sides have."""

from comparisons import BASELINE, R_DROP, arm_result
from regdrop.studies.contrasts import contrast_arms


def test_contrasts_cover_every_metric_but_the_costs_of_every_reference_in_order():
    treatment = arm_result("r-drop", "R-Drop", 2, [run | {"peak_bytes": 5e8} for run in R_DROP])
    runs = [run | {"peak_bytes": 4e8} for run in BASELINE]
    references = [arm_result("baseline", "baseline", 1, runs), arm_result("longer", "longer", 1, runs[::-1])]
    found = [
        (contrast.reference, contrast.metric) for contrast in contrast_arms((treatment, one) for one in references)
    ]
    assert found == [(name, key) for name in ("baseline", "longer") for key in ("accuracy", "loss")]
