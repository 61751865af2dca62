"""The model and the data of a recipe, untrained or with the weights of a run."""

from itertools import islice
from pathlib import Path

from torch.utils.data import DataLoader

from regdrop.tasks.task import find_task
from regdrop.training.evaluation import Split, load_weights
from regdrop.training.folder import find_weights
from regdrop.training.recipe import Recipe
from regdrop.training.subjects.subject import Subject
from regdrop.training.tokens import check_tokens


def recipe_subject(recipe: Recipe, checkpoint: Path | None, split: Split, batches: int) -> Subject:
    """A recipe's model on a part of its data.

    Args:
        recipe: which model and data.
        checkpoint: folder of a run, or weights; None takes the weights the recipe starts from.
        split: which part; "train" has its augmentation.
        batches: at most so many, of `train.eval_batch` items, from the first.

    Raises:
        CheckpointError: no weights there, or not this model's.
        DataError: the data is missing, or its tokens are not those of the run.

    Example:
        >>> from regdrop.training.recipe import load_recipe
        >>> subject = recipe_subject(load_recipe("digits_vit"), None, "validation", 2)
        >>> [len(batch["labels"]) for batch in subject.batches]
        [256, 256]
    """
    task = find_task(recipe.task)
    weights = None if checkpoint is None else find_weights(checkpoint)
    model = task.build(recipe.model)
    splits = task.load(recipe.data, recipe.model, 0)
    if weights is None:
        task.load_pretrained(model, recipe.model)
    else:
        check_tokens(splits, weights)
        load_weights(model, weights)
    loader = DataLoader(getattr(splits, split), batch_size=recipe.train.eval_batch, collate_fn=splits.collate)
    state = "as it starts" if weights is None else f"weights {weights}"
    name = f"{recipe.name}, {state}"
    return Subject(model, islice(loader, batches), min(len(loader), batches), name, f"{recipe.name}, {split} part")
