"""`python -m regdrop`."""

import sys

from regdrop.cli import main

sys.exit(main())
