"""deploy/release.py: a version has one name everywhere, and a release keeps what later tests compare with."""

import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from coordinator_site import __version__
from deploy import release

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """What a release changes."""
    kept = [*release.PLACES, release.CHANGELOG, release.DESCRIPTION, release.SCHEMAS]
    kept += [str(path.relative_to(PROJECT)) for path in (PROJECT / release.RELEASED).iterdir()]
    kept += [str(path.relative_to(PROJECT)) for path in (PROJECT / "scenarios/migrations").glob("*.py")]
    for file in kept:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, tmp_path / file)
    return tmp_path


def test_everything_that_names_the_version_names_the_same() -> None:
    assert release.find_versions(PROJECT) == {file: {__version__} for file in release.PLACES}


def test_a_version_is_named_in_every_place_and_nothing_else_is_changed(copied: Path) -> None:
    before = {file: (copied / file).read_text() for file in release.PLACES}
    release.begin(copied, "7.8.9")
    assert release.find_versions(copied) == {file: {"7.8.9"} for file in release.PLACES}
    for file, text in before.items():
        assert (copied / file).read_text().replace("7.8.9", __version__) == text


def test_a_word_that_is_no_version_and_one_up_to_the_last_release_are_refused(copied: Path) -> None:
    with pytest.raises(SystemExit, match=r"'1\.2': write three numbers"):
        release.begin(copied, "1.2")
    with pytest.raises(SystemExit, match=r"'0\.0\.9': [\d.]+ is released"):
        release.begin(copied, "0.0.9")


def test_a_release_without_news_or_with_two_versions_is_refused(copied: Path) -> None:
    release.begin(copied, "7.8.9")
    changelog = copied / release.CHANGELOG
    news = changelog.read_text().replace(release.UNRELEASED, f"{release.UNRELEASED}\n### Upgrading\n", 1)
    changelog.write_text(re.sub(r"(?s)(## \[Unreleased\]\n).*?(?=\n## \[)", r"\1", news))
    with pytest.raises(SystemExit, match=r"does not say how to upgrade to 7\.8\.9"):
        release.finish(copied, date(2030, 1, 2))
    changelog.write_text(news)
    compose = copied / "deploy/container/compose.yaml"
    compose.write_text(compose.read_text().replace("7.8.9", "7.8.8", 1))
    with pytest.raises(SystemExit, match=r"^deploy/container/compose\.yaml do not name 7\.8\.9"):
        release.finish(copied, date(2030, 1, 2))


def test_a_release_cuts_the_changelog_and_keeps_its_api_and_its_schema(copied: Path) -> None:
    changelog = copied / release.CHANGELOG
    # Right after a release, nothing is new.
    news = "\n### Upgrading\n\n- Nothing.\n"
    changelog.write_text(changelog.read_text().replace(release.UNRELEASED, release.UNRELEASED + news, 1))
    news = changelog.read_text().partition(release.UNRELEASED)[2].partition("\n## ")[0]
    release.begin(copied, "7.8.9")
    assert release.finish(copied, date(2030, 1, 2)) == "7.8.9"
    assert f"{release.UNRELEASED}\n## [7.8.9] - 2030-01-02\n{news}" in changelog.read_text()
    (kept,) = (copied / release.RELEASED).iterdir()
    assert (kept.name, kept.read_text()) == (
        "openapi-7.8.9.json",
        (copied / release.DESCRIPTION).read_text(),
    )
    (schema,) = re.findall(release.SCHEMA, (copied / release.SCHEMAS).read_text())
    migrations = sorted(path.stem for path in (copied / "scenarios/migrations").glob("0*.py"))
    assert schema == migrations[-1]
    with pytest.raises(SystemExit, match=r"7\.8\.9 is released already"):
        release.finish(copied, date(2030, 1, 3))
