"""Names a version wherever it is named, and cuts its release: only the standard library is needed.

`python3 deploy/release.py begin 0.3.0` names the version that comes in all files that name it, also where the
program reads it. `python3 deploy/release.py finish` cuts its section of the changelog, and keeps the
description of its API and the name of its last migration for the tests of what follows.
"""

import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SOURCE = "coordinator_client/version.py"
VERSION = r"(\d+\.\d+\.\d+)"
# Where each file names it. Files of deploy/ are read by other programs, and pages are read by people.
PLACES = {
    SOURCE: rf'__version__ = "{VERSION}"',
    "pyproject.toml": rf"test-coordinator-client=={VERSION}",
    "deploy/container/Dockerfile": rf"(?:--tag test-coordinator:|image\.version=){VERSION}",
    "deploy/container/cross.Dockerfile": rf"(?:--tag test-coordinator:|image\.version=){VERSION}",
    "deploy/container/compose.yaml": rf"image: test-coordinator:{VERSION}",
    "deploy/container/compose.demo.yaml": rf"image: test-coordinator:{VERSION}",
    "deploy/fault-proxy/Dockerfile": rf"fault-proxy:{VERSION}",
    "deploy/kubernetes/kustomization.yaml": rf"newTag: {VERSION}",
    "README.md": rf'version="{VERSION}"',
    "docs/client.md": rf"test_coordinator_client-{VERSION}-py3",
    "docs/tutorial.md": rf'version="{VERSION}"',
}
CHANGELOG, UNRELEASED = "CHANGELOG.md", "## [Unreleased]\n"
DESCRIPTION, RELEASED = "docs/openapi.json", "tests/released"
SCHEMAS, SCHEMA = "tests/servers/old_schemas.py", r'(?<="released": ")\w+(?=")'


def find_versions(project: Path) -> dict[str, set[str]]:
    """The versions that each of PLACES names."""
    return {file: set(re.findall(place, (project / file).read_text())) for file, place in PLACES.items()}


def list_releases(changelog: str) -> list[str]:
    return re.findall(rf"(?m)^## \[{VERSION}\]", changelog)


def split_version(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def begin(project: Path, version: str) -> None:
    if not re.fullmatch(VERSION, version):
        raise SystemExit(f"unusable version {version!r}: write three numbers, as in 0.3.0")
    newest = max(list_releases((project / CHANGELOG).read_text()), key=split_version)
    if split_version(version) <= split_version(newest):
        raise SystemExit(f"unusable version {version!r}: {newest} is released, so name a higher one")
    for file, place in PLACES.items():
        path = project / file
        path.write_text(re.sub(place, lambda found: _rename(found, version), path.read_text()))


def _rename(found: "re.Match[str]", version: str) -> str:
    before, after = found.start(1) - found.start(), found.end(1) - found.start()
    return found[0][:before] + version + found[0][after:]


def finish(project: Path, day: date) -> str:
    """The version whose release this is."""
    versions = find_versions(project)
    (version,) = versions[SOURCE]
    if others := [file for file, named in versions.items() if named != {version}]:
        raise SystemExit(f"{', '.join(others)} do not name {version}: name it everywhere by 'begin' first")
    changelog = project / CHANGELOG
    text = changelog.read_text()
    if version in list_releases(text):
        raise SystemExit(f"{version} is released already: name the next version by 'begin' first")
    if "### Upgrading\n" not in text.partition(UNRELEASED)[2].partition("\n## ")[0]:
        raise SystemExit(
            f"{CHANGELOG} does not say how to upgrade to {version}: add 'Upgrading' below 'Unreleased'"
        )
    changelog.write_text(text.replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {day}\n", 1))
    for former in (project / RELEASED).glob("openapi-*.json"):
        former.unlink()
    kept = project / RELEASED / f"openapi-{version}.json"
    kept.write_text((project / DESCRIPTION).read_text())
    last = max(path.stem for path in (project / "scenarios" / "migrations").glob("[0-9]*.py"))
    schemas = project / SCHEMAS
    schemas.write_text(re.sub(SCHEMA, last, schemas.read_text()))
    return version


def main(words: list[str]) -> None:
    match words:
        case ["begin", version]:
            begin(PROJECT, version)
        case ["finish"]:
            version = finish(PROJECT, datetime.now(UTC).date())
            sys.stdout.write(f"Run all tests, then: git add --all; git commit; git tag {version}\n")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
