"""Other libraries' training loops; each import is optional."""
