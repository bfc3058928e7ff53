"""A PostgreSQL database to a file and back, by `pg_dump` and `psql`.

https://www.postgresql.org/docs/current/app-pgdump.html
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from coordinator_site.backups.errors import BackupError

# Tables of the coordinator's schema, which may be newer than those of the backup.
DROP_TABLES = """
DO $$DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
    EXECUTE format('DROP TABLE %I CASCADE', name);
  END LOOP;
END$$;
"""


def copy_to(path: Path, database: dict[str, Any]) -> None:
    """Raises BackupError: `pg_dump` is missing or older than the server, or what it said itself."""
    _run(
        database,
        "pg_dump",
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        "--file",
        path,
    )


def copy_from(path: Path, database: dict[str, Any]) -> None:
    """Replace all tables in one transaction.

    Raises:
        BackupError: a program is missing, or what it said itself; the database is as before.
    """
    script = path.with_name("restore.sql")
    _run(
        database,
        "pg_restore",
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        "--file",
        script,
        path,
        connects=False,
    )
    drop = path.with_name("drop.sql")
    drop.write_text(DROP_TABLES)
    options = ["--no-psqlrc", "--quiet", "--output=/dev/null", "--single-transaction"]
    _run(database, "psql", *options, "--set=ON_ERROR_STOP=1", "--file", drop, "--file", script)


def _run(database: dict[str, Any], program: str, *arguments: object, connects: bool = True) -> None:
    words = [program, *map(str, arguments)]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(_connection(database) if connects else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        hint = "install PostgreSQL's client programs of the server's version or a newer one"
        raise BackupError(f"The program {program!r} is missing; {hint}.") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-500:]
        raise BackupError(f"{program} failed: {said or f'exit code {done.returncode}'}.")


def _connection(database: dict[str, Any]) -> dict[str, str]:
    """As variables of libpq: a password on a command line could be read by everybody."""
    options = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "options": "PGOPTIONS"}
    found = {
        "PGHOST": database["HOST"],
        "PGPORT": database["PORT"],
        "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"],
        "PGDATABASE": database["NAME"],
        "PGCONNECT_TIMEOUT": "10",
    }
    found |= {
        variable: database["OPTIONS"][name]
        for name, variable in options.items()
        if name in database["OPTIONS"]
    }
    return {name: str(value) for name, value in found.items() if value}
