"""Writes `synchronous/` from `asynchronous/`: the same code without `async` and `await`.

    python3 coordinator_client/write_synchronous.py

The tests check that it is current. The package that is installed does not contain this file.
"""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
NOTE = "# Made from asynchronous/{name} by write_synchronous.py: change that instead.\n"
REPLACEMENTS = (
    (r"from asyncio import sleep", "from time import sleep"),
    (
        r"from time import sleep\n((?:.*\n)*?)from time import monotonic",
        r"\1from time import monotonic, sleep",
    ),
    (r"handle_async_request", "handle_request"),
    (r"AsyncIterator", "Iterator"),
    (r"httpcore\.AsyncConnectionPool", "httpcore.ConnectionPool"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"coordinator_client\.asynchronous", "coordinator_client.synchronous"),
    (r"\b__aenter__", "__enter__"),
    (r"\b__aexit__", "__exit__"),
    (r"\b(aread|aclose|aiter_stream)\(", lambda found: found[1][1:] + "("),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"  # noqa: ASYNC109.*", ""),
)


def convert(name: str, text: str) -> str:
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    return NOTE.format(name=name) + text.rstrip() + "\n" if text else ""


def list_files() -> dict[Path, str]:
    """The content of each file of `synchronous/`, not formatted yet."""
    return {
        HERE / "synchronous" / file.name: convert(file.name, file.read_text())
        for file in sorted((HERE / "asynchronous").glob("*.py"))
    }


if __name__ == "__main__":
    for place, content in list_files().items():
        place.write_text(content)
    subprocess.run(["ruff", "format", "--quiet", HERE / "synchronous"], check=True)
