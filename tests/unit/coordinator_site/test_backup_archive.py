"""The file of a backup is read whole, or refused with a sentence."""

import contextlib
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from coordinator_site.backups import postgresql_copy, site_state, sqlite_copy
from coordinator_site.backups.archive import FORMAT, Manifest, open_archive, write_archive
from coordinator_site.backups.errors import BackupError

MANIFEST = Manifest(
    FORMAT, "0.1.0", connection.vendor, "2026-01-01T12:00:00+00:00", ["scenarios.0001_initial"]
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a database?#%.sqlite3"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE kept (number)")
        made.executemany("INSERT INTO kept VALUES (?)", [(number,) for number in range(1000)])
    return path


@pytest.fixture
def backup(database: Path, tmp_path: Path) -> Path:
    path = tmp_path / "one.backup"
    write_archive(path, MANIFEST, database, "hush")
    return path


def read(path: Path) -> tuple[Manifest, bytes, str]:
    with open_archive(path) as (manifest, database, secret_key):
        return manifest, database.read_bytes(), secret_key


def test_backup_is_read_back_and_readable_only_by_its_owner(backup: Path, database: Path) -> None:
    assert read(backup) == (MANIFEST, database.read_bytes(), "hush")
    assert backup.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in backup.parent.iterdir()} == {backup.name, database.name}


def test_a_backup_without_a_key_has_none(database: Path, tmp_path: Path) -> None:
    write_archive(tmp_path / "two.backup", MANIFEST, database, "")
    assert read(tmp_path / "two.backup")[2] == ""


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(backup: Path, share: float) -> None:
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BackupError, match="is not a whole backup"):
        read(backup)


def test_no_changed_byte_of_the_database_is_taken_for_it(backup: Path) -> None:
    content, whole = backup.read_bytes(), read(backup)
    for place in range(0, len(content), 97):
        backup.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(BackupError):
            assert read(backup) == whole  # a byte that means nothing, such as a time stamp of the archive


@pytest.mark.parametrize(
    ("manifest", "words"),
    [("{}", "has the format None"), ('{"format": 2}', "has the format 2"), ("[]", "whole"), ("{", "whole")],
)
def test_another_format_is_refused(tmp_path: Path, manifest: str, words: str) -> None:
    path = tmp_path / "other.backup"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", manifest)
    with pytest.raises(BackupError, match=words):
        read(path)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="cannot be read: No such file or directory"):
        read(tmp_path / "none.backup")


def test_a_folder_that_is_missing_is_a_sentence(database: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="cannot be written: No such file or directory"):
        write_archive(tmp_path / "none" / "one.backup", MANIFEST, database, "")


def test_another_database_and_a_newer_version_are_refused() -> None:
    site_state.check_version(MANIFEST)
    other = Manifest(FORMAT, "0.1.0", "oracle", MANIFEST.created_at, [])
    with pytest.raises(BackupError, match="The backup is of oracle, and"):
        site_state.check_version(other)
    newer = Manifest(FORMAT, "9.0", connection.vendor, MANIFEST.created_at, ["scenarios.9999_newer"])
    with pytest.raises(BackupError, match=r"version 9\.0, which is newer .* migration scenarios\.9999_newer"):
        site_state.check_version(newer)


def test_an_app_that_is_not_installed_any_more_is_no_newer_version() -> None:
    left = Manifest(FORMAT, "0.1.0", connection.vendor, MANIFEST.created_at, ["plugin.0001_initial"])
    site_state.check_version(left)


def test_a_damaged_database_is_neither_copied_nor_restored(database: Path, tmp_path: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"x" * 2000 + content[6096:])
    with pytest.raises(BackupError, match=r"is damaged|cannot be copied"):
        sqlite_copy.copy_to(tmp_path / "copy", {"NAME": database})
    target = tmp_path / "target"
    with closing(sqlite3.connect(target)) as made, made:
        made.execute("CREATE TABLE present (number)")
    before = target.read_bytes()
    with pytest.raises(BackupError, match=r"is damaged|cannot be replaced"):
        sqlite_copy.copy_from(database, {"NAME": target})
    assert target.read_bytes() == before


def test_missing_client_programs_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = {"HOST": "127.0.0.1", "PORT": "1", "USER": "a", "PASSWORD": "b", "NAME": "c", "OPTIONS": {}}
    with pytest.raises(BackupError, match="The program 'pg_dump' is missing"):
        postgresql_copy.copy_to(tmp_path / "copy", settings)
