"""The host program as one text: it is sent to a machine through ssh, or installed there as one file."""

import os
import re

# Each may import only from those before it.
MODULES = (
    "limits",
    "arguments",
    "store",
    "programs",
    "processes",
    "units",
    "policy",
    "lifelines",
    "kind",
    "pause",
    "unit_kinds",
    "rules",
    "relay",
    "redirects",
    "flows",
    "resolver",
    "dns",
    "load",
    "disk",
    "kinds",
    "guardian",
    "calls",
    "program",
)
_HEAD = """\
# The host program of Test Coordinator in one file, joined from the modules of injector/host.
# Any Python from 3.8 on runs it, without further packages.

from __future__ import annotations
"""
_TAIL = """

if __name__ == "__main__":
    sys.exit(main())
"""
# In the one text, all names are there already.
_IMPORT = re.compile(r"^from (?:__future__|injector\.host\.\w+) import (?:\([^)]*\)|[^(\n]*)\n", re.MULTILINE)


def build_program() -> str:
    """The text of the program: `main` answers the request on standard input."""
    folder = os.path.dirname(os.path.abspath(__file__))
    parts = [_HEAD]
    for name in MODULES:
        with open(os.path.join(folder, f"{name}.py"), encoding="utf-8") as file:
            parts.append(f"\n# injector/host/{name}.py\n{_IMPORT.sub('', file.read())}")
    return "".join(parts) + _TAIL
