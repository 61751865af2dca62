"""One file a task: its data, model, collator and metrics."""
