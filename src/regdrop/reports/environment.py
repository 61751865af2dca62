"""Where and how numbers were made: the last section of every report."""

from collections.abc import Mapping

from regdrop.reports.page import Section, Table


def environment_section(command: str, date: str, machine: str, versions: Mapping[str, str]) -> Section:
    """The command that repeats the work, and what it ran on.

    Args:
        command: to type, in the folder of the report.
        date: when it was finished, UTC.
        machine: what seconds were measured on.
        versions: of Python and the packages that decide the numbers.
    """
    rows = (("date (UTC)", date), ("machine", machine), *versions.items())
    shown = tuple((name, value) for name, value in rows if value)
    table = Table("Environment", ("what", "which"), shown, "left")
    return Section("Repeat it", tables=(table,), code=command)
