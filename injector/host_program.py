"""Runs the host program of this checkout.

On a host of its own it is one file, which `manage.py host_program` writes.
"""

import os
import sys
from typing import Any

# With Python's option -I, the folder is not among those of modules.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from injector.host.bundle import build_program

del sys.path[0]

if __name__ == "__main__":
    # The program starts guardians from a copy of its text, which it finds under this name.
    source = build_program()
    scope: Any = {"__name__": "host_program", "SOURCE": source}
    exec(compile(source, "host_program", "exec"), scope)  # noqa: S102
    sys.exit(scope["main"]())
