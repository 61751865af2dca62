"""What can be diagnosed: a recipe's model, a transformers folder, a timm model, each with labelled batches."""
