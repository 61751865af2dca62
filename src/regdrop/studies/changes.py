"""What the arms of a study do to a recipe: each changes one thing."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from regdrop.training.recipe import Recipe

Change = Callable[[Recipe], Recipe]


def with_r_drop(**settings: Any) -> Change:
    """R-Drop on, with these settings of the `rdrop` section."""
    return lambda recipe: replace(recipe, rdrop=replace(recipe.rdrop, enabled=True, **settings))


def without_r_drop(**settings: Any) -> Change:
    """R-Drop off, with these settings of the `rdrop` section."""
    return lambda recipe: replace(recipe, rdrop=replace(recipe.rdrop, enabled=False, **settings))


def on_the_head(**rdrop: float) -> Change:
    """Several draws of the noise before the classifier; without the KL, multi-sample dropout (arXiv 1905.09788)."""

    def change(recipe: Recipe) -> Recipe:
        several = with_r_drop(mode="head", **rdrop)(recipe)
        if getattr(recipe.model, "head_dropout", None) == 0:
            several = replace(several, model=replace(several.model, head_dropout=recipe.model.dropout))
        return several

    return change


def wide_batch(recipe: Recipe) -> Recipe:
    """R-Drop off, and as many items a step as R-Drop has passes."""
    return _plainly_trained(recipe, batch_size=recipe.rdrop.passes * recipe.train.batch_size)


def longer(times: float) -> Change:
    """R-Drop off, and so many times the steps."""
    return lambda recipe: _plainly_trained(recipe, steps=round(times * recipe.train.steps))


def with_decay(decay: float) -> Change:
    """R-Drop off, and this weight decay."""
    return lambda recipe: _plainly_trained(recipe, weight_decay=decay)


def without_dropout(recipe: Recipe) -> Recipe:
    """R-Drop off, and every dropout rate 0."""
    names = [field.name for field in fields(recipe.model) if "drop" in field.name]
    rates = {name: 0.0 for name in names if getattr(recipe.model, name)}
    return replace(without_r_drop()(recipe), model=replace(recipe.model, **rates))


def measuring(change: Change, items: int) -> Change:
    """Another change, and the KL between sub-models measured on so many validation items."""

    def measured(recipe: Recipe) -> Recipe:
        changed = change(recipe)
        return replace(changed, train=replace(changed.train, consistency_items=items))

    return measured


def _plainly_trained(recipe: Recipe, **settings: Any) -> Recipe:
    return replace(without_r_drop()(recipe), train=replace(recipe.train, **settings))
