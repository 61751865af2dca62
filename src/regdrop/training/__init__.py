"""From a recipe to a trained model: `recipe.py` says what to do, `run.py` does it, the folder of a run records it."""
