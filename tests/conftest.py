"""Check every annotated shape of the loss and the passes at run time, in tests only."""

from jaxtyping import install_import_hook

# The numeric tower lets an int stand where a float is asked for, as type checkers do.
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["regdrop.losses", "regdrop.passes"], _CHECKER)
