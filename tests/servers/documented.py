"""The files and commands on a page of docs/."""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.servers.coordinator import PROJECT, Coordinator

LANGUAGES = ("python", "yaml", "bash", "typescript")


@dataclass(frozen=True)
class Page:
    """A page whose code blocks begin with the name of their file, where they have one."""

    path: Path

    def blocks(self, language: str) -> list[str]:
        text = self.path.read_text()
        found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        return list(map(dedent, found))  # one in a list is indented

    def commands(self) -> list[str]:
        lines = "".join(self.blocks("sh")).splitlines()
        return [line.partition("#")[0].strip() for line in lines if line.strip()]

    def save_files(self, folder: Path, **replaced: str) -> None:
        """Every named block as its file, with what differs here in place of what is documented."""
        for block in (block for language in LANGUAGES for block in self.blocks(language)):
            if named := re.match(r"(?:#|//) ([\w.-]+\.\w+)\n", block):
                (folder / named[1]).write_text(with_values(block, replaced))


def with_values(text: str, replaced: dict[str, str]) -> str:
    """In one pass: a port that stands here for another one may contain the digits of a third."""
    documented = "|".join(map(re.escape, replaced))
    return re.sub(documented, lambda found: replaced[found[0]], text) if replaced else text


def run(installed: Coordinator, line: str, **replaced: str) -> tuple[int, str]:
    """The command's exit code, and what it printed."""
    words = shlex.split(with_values(line, replaced))
    if words[0] == "python3":
        words[0] = sys.executable
    done = subprocess.run(
        words,
        cwd=PROJECT,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr
