"""The host program as one text: it is sent to a machine through ssh, or installed there as one file."""

import os
import re
from functools import lru_cache

# Each module may import only from those before it.
MODULES = (
    "limits",
    "compiled",
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
    "places",
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
_LOADER = "compiled"
_TAIL = """

if __name__ == "__main__":
    sys.exit(main())
"""
# In the one text, all names are already defined.
_IMPORT = re.compile(r"^from (?:__future__|injector\.host\.\w+) import (?:\([^)]*\)|[^(\n]*)\n", re.MULTILINE)


def build_streamed(request: str) -> str:
    """What a Python on the machine runs to answer the request; it uses compiled code if there is any."""
    loader = _IMPORT.sub("", _read_module(_LOADER))
    call = f"sys.exit(run_streamed({build_program()!r}, sys.argv[1:], {request!r}))"
    return f"from __future__ import annotations\n{loader}\n{call}\n"


def _read_module(name: str) -> str:
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, f"{name}.py"), encoding="utf-8") as file:
        return file.read()


@lru_cache(maxsize=1)
def build_program() -> str:
    """The text of the program: `main` answers the request on standard input."""
    parts = [f"\n# injector/host/{name}.py\n{_IMPORT.sub('', _read_module(name))}" for name in MODULES]
    return "".join([_HEAD, *parts, _TAIL])
