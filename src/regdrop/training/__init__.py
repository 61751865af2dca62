"""From a recipe to a trained, evaluated and recorded model."""
