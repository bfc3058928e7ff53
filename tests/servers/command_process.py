"""One process that carries out many commands of `manage.py`: each process takes seconds to start."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import io, json, sys
from django.core.management import CommandError, call_command

def carry_out(words):
    output = io.StringIO()
    sys.stdout = output
    try:
        call_command(*words, stdout=output, stderr=output)
    except SystemExit as end:
        return end.code or 0, output.getvalue()
    except CommandError as error:
        return error.returncode, output.getvalue() + str(error)
    finally:
        sys.stdout = answers
    return 0, output.getvalue()

answers = sys.stdout
for line in sys.stdin:
    print(json.dumps(carry_out(json.loads(line))), flush=True)
"""


class CommandProcess:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def manage(self, *words: str) -> str:
        """What the command printed; it must end with 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        code, output = json.loads(self._process.stdout.readline())
        assert code == 0, output
        return str(output)


@contextmanager
def command_process(environment: Mapping[str, str]) -> Iterator[CommandProcess]:
    with subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", PROGRAM],
        cwd=PROJECT,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield CommandProcess(process)
