"""Writes the packages that the coordinator needs, as CycloneDX or as the table of docs/licences.md.

`python deploy/bill_of_materials.py` describes what is installed where it runs; with `--system`, also Debian's
packages, as in the image. `--table` writes the table. It uses only the standard library.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
DEBIAN = Path("/var/lib/dpkg/status")
"""See https://manpages.debian.org/stable/dpkg/dpkg.1.html."""
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
# What packages say that name no SPDX expression.
EXPRESSIONS = {
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD-3-Clause License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-2.0-or-later",
    "MIT License": "MIT",
    "The MIT License (MIT)": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    licence: str
    """An SPDX expression, or what the package says; empty where it says nothing."""
    digests: tuple[str, ...]

    @property
    def address(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def list_locked() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, version and digests of each package in requirements.txt."""
    for name, version, rest in LOCKED.findall(REQUIREMENTS.read_text()):
        yield name, version, tuple(re.findall(r"--hash=sha256:(\w+)", rest))


def list_packages() -> list[Package]:
    """Those that are installed here: a lock for all systems has some for others alone."""
    found = []
    for name, _, digests in list_locked():
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found.append(Package(name, installed.version, find_licence(installed), digests))
    return found


def find_licence(installed: Distribution) -> str:
    metadata: PackageMetadata = installed.metadata
    if expression := metadata.get_all("License-Expression"):
        return str(expression[0])
    kinds = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    said = kinds or [line.strip().partition("\n")[0] for line in metadata.get_all("License") or []]
    return " OR ".join(sorted({EXPRESSIONS.get(kind, kind) for kind in said if kind}))


def list_debian_packages(status: str) -> Iterator[dict[str, Any]]:
    """Read this database of dpkg. It has no licences: they are in /usr/share/doc/PACKAGE/copyright."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(\w+): (.+)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            # See https://github.com/package-url/purl-spec; '+' and the ':' of an epoch are quoted.
            name, version = fields["Package"], quote(fields["Version"])
            address = f"pkg:deb/debian/{quote(name)}@{version}?arch={fields['Architecture']}"
            yield {
                "type": "library",
                "bom-ref": address,
                "name": name,
                "version": fields["Version"],
                "purl": address,
            }


def build_document(*, with_system: bool = False) -> dict[str, Any]:
    """See https://cyclonedx.org/docs/1.5/json/."""
    components: list[dict[str, Any]] = [
        {
            "type": "library",
            "bom-ref": package.address,
            "name": package.name,
            "version": package.version,
            "purl": package.address,
            "licenses": [{"expression": package.licence}],
        }
        for package in list_packages()
    ]
    if with_system and DEBIAN.exists():
        components.extend(list_debian_packages(DEBIAN.read_text()))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


def build_table() -> str:
    rows = [f"| {package.name} | {package.licence} |\n" for package in list_packages()]
    return "".join(["| package | licence |\n", "| --- | --- |\n", *rows])


if __name__ == "__main__":
    if "--table" in sys.argv[1:]:
        sys.stdout.write(build_table())
    else:
        document = build_document(with_system="--system" in sys.argv[1:])
        sys.stdout.write(f"{json.dumps(document, indent=1)}\n")
