"""The command line: each command parses, calls one function of the library and prints what it returns.

Everything heavy is imported inside the commands, so that help comes at once.
"""

from regdrop.cli.main import main as main
