"""Range checks shared by the sections of a recipe."""

from typing import Any

from regdrop.errors import RecipeError

ONE_OR_MORE = (1, float("inf"))
ZERO_OR_MORE = (0, float("inf"))
RATE = (0, 0.99)


def check_ranges(section: str, values: Any, **ranges: tuple[float, float]) -> None:
    """Refuse a section whose numbers lie outside `ranges`; None is always allowed.

    Raises:
        RecipeError: names the key, its value and the range.
    """
    for key, (low, high) in ranges.items():
        value = getattr(values, key)
        if value is not None and not low <= value <= high:
            wanted = f"at least {low}" if high == float("inf") else f"between {low} and {high}"
            raise RecipeError(
                f"{section}.{key} is {value}, but must be {wanted}; change the recipe or pass --{section}.{key}"
            )
