"""One file a task, put together from the folders beside it; `task.py` says what a task is."""
