"""What no setting asks for costs nothing, because nothing stands in its way."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# In a process of its own, because what a test switches on stays there.
PROGRAM = """
import sys
import django
from django.conf import settings
from django.core.cache import caches
from django.core.management import BaseCommand
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler
from django_tasks import signals

settings.configure(
    INSTALLED_APPS=["metrics_app", "django_tasks"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    METRICS={"DIRECTORY": sys.argv[1], **eval(sys.argv[2])},
)

def find_functions():
    compilers = (SQLInsertCompiler, SQLUpdateCompiler, SQLDeleteCompiler)
    return {
        "DATABASE": [BaseDatabaseWrapper.connect, *[compiler.execute_sql for compiler in compilers]],
        "COMMANDS": [BaseCommand.execute],
    }

before = find_functions()
django.setup()
connection.ensure_connection()
changed = {feature for feature, functions in find_functions().items() if functions != before[feature]}
if connection.execute_wrappers:
    changed.add("DATABASE")
if type(caches["default"]).__name__ != "LocMemCache":
    changed.add("CACHES")
if any(key[0] == "metrics_app" for key, *_ in signals.task_enqueued.receivers):
    changed.add("TASKS")
print(*sorted(changed))
"""
FEATURES = ("CACHES", "COMMANDS", "DATABASE", "TASKS")


@pytest.mark.parametrize("is_on", [False, True])
def test_djangos_functions_are_its_own_where_a_feature_is_off(tmp_path: Path, *, is_on: bool) -> None:
    switched = repr(dict.fromkeys(FEATURES, is_on))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "metrics"), switched],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == (list(FEATURES) if is_on else [])
