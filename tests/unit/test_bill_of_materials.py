"""Every package that the coordinator needs has a licence that a company can accept, and is listed."""

import re
from pathlib import Path

import pytest

from deploy import bill_of_materials
from deploy.bill_of_materials import (
    build_document,
    build_table,
    list_debian_packages,
    list_locked,
    list_packages,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "licences.md"
# None of them asks for the source of a program that uses the package.
ACCEPTED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-3.0-only",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
}


@pytest.mark.parametrize("package", list_packages(), ids=lambda package: package.name)
def test_a_package_has_an_accepted_licence(package: bill_of_materials.Package) -> None:
    parts = [part.strip("() ") for part in re.split(r" AND | OR ", package.licence)]
    assert parts != [""]
    assert set(parts) <= ACCEPTED


def test_the_page_of_licences_is_current() -> None:
    rows = build_table().splitlines()
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert [row for row in rows if row not in listed] == []


def test_every_locked_package_has_digests_and_is_in_the_bill_of_materials() -> None:
    locked = list(list_locked())
    assert len(locked) > 50
    assert all(digests for _, _, digests in locked)
    document = build_document()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    components = {component["name"] for component in document["components"]}
    assert {"django", "gunicorn", "aiohttp"} <= components <= {name for name, _, _ in locked}


def test_packages_of_debian_that_are_installed_are_components() -> None:
    status = """\
Package: libstdc++6
Status: install ok installed
Architecture: arm64
Version: 1:14.2.0-19

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
    (component,) = list_debian_packages(status)
    assert component["purl"] == "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19?arch=arm64"
    assert component["version"] == "1:14.2.0-19"
