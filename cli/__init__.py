"""The `sendbridge` command, a client of the admin API, and the local stack."""

import sys
from pathlib import Path

# The command checks definitions with the functions' own code, whose import root this is.
_FUNCTIONS = str(Path(__file__).resolve().parent.parent / "functions")
if _FUNCTIONS not in sys.path:
    sys.path.append(_FUNCTIONS)
