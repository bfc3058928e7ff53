"""Redocly and Spectral, which judge docs/openapi.json as people do who generate clients of it."""

from pathlib import Path

from tests.servers.coordinator import PROJECT
from tests.servers.node import Node

DESCRIPTION = PROJECT / "docs" / "openapi.json"
# Of fixed releases, because a newer one may have more rules.
LINTERS = ("@redocly/cli@2.77.0", "@stoplight/spectral-cli@6.16.3")
# Each coordinator is run by other people, so that its description has no contact.
SPECTRAL_RULES = """extends: ["spectral:oas"]
rules:
  info-contact: off
"""


def find_complaints(folder: Path) -> str:
    """Install both linters into the folder, and return their errors and warnings, or ""."""
    (folder / "rules.yaml").write_text(SPECTRAL_RULES)
    node = Node(folder)
    node.add(*LINTERS)
    tools = folder / "node_modules" / ".bin"
    redocly = node.run(str(tools / "redocly"), "lint", str(DESCRIPTION))
    strictly = ("--ruleset", "rules.yaml", "--fail-severity", "warn")
    spectral = node.run(str(tools / "spectral"), "lint", str(DESCRIPTION), *strictly)
    is_quiet = redocly.returncode == spectral.returncode == 0 and "warning" not in redocly.stderr
    return "" if is_quiet else redocly.stderr + redocly.stdout + spectral.stdout + spectral.stderr
