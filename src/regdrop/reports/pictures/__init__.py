"""Everything that is drawn: functions from numbers to axes and figures, and figures to files."""
