"""The host program as one text: it is sent to a machine through ssh, or installed there as one file."""

import os
import re
from functools import lru_cache

from injector.host.arguments import SERVE_MARK

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
    "engine",
    "container_requests",
    "changes",
    "containers",
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


# What reads a program from its standard input, and leaves the requests after it there; `python3 -` would read
# those, too. It is part of a command line: nothing that is secret, and no single quote, may be in it.
READER = "import sys;s=sys.stdin.buffer;exec(s.read(int(s.readline().split()[-1])))"
# The first lines, which every Python can read. A file of the user's, such as ~/random.py, must not be taken
# for the standard library's.
_BEGINNING = """\
import sys
sys.path[:] = [path for path in sys.path if path]
if sys.version_info < (3, 8):
    found = ".".join(str(number) for number in sys.version_info[:3])
    reason = "the host program needs Python 3.8 or newer, and this host runs it with " + found
    print('{"ok": false, "code": "impossible", "reason": "' + reason + '"}')
    sys.exit(0)
"""


def build_streamed(request: str) -> str:
    """What a Python on the machine runs to answer the request; it uses compiled code if there is any."""
    return _build_loader(f"run_streamed({build_program()!r}, sys.argv[1:], {request!r})")


@lru_cache(maxsize=1)
def build_served() -> bytes:
    """What READER reads to answer the requests that follow, one per line. An installed program skips it."""
    text = _build_loader(f"serve_streamed({build_program()!r}, sys.argv[1:])").encode()
    return f"{SERVE_MARK}{len(text)}\n".encode() + text


def _build_loader(call: str) -> str:
    loader = _IMPORT.sub("", _read_module(_LOADER))
    text = f"from __future__ import annotations\n{loader}\nsys.exit({call})\n"
    return f"{_BEGINNING}exec({text!a})\n"


def _read_module(name: str) -> str:
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, f"{name}.py"), encoding="utf-8") as file:
        return file.read()


@lru_cache(maxsize=1)
def build_program() -> str:
    """The text of the program: `main` answers the request on standard input."""
    parts = [f"\n# injector/host/{name}.py\n{_IMPORT.sub('', _read_module(name))}" for name in MODULES]
    return "".join([_HEAD, *parts, _TAIL])
