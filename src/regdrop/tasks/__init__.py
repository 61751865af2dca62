"""One file a task: its data, model, collation and metrics; `task.py` says what a task is."""
