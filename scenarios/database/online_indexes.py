"""Indexes for migrations of tables that may have many rows.

On PostgreSQL without a lock, so that others write meanwhile; as usual elsewhere. Migrations with them need
`atomic = False`, so that one may be interrupted between two indexes, or within one. It can be run again.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations


class AddIndexOnline(AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        _drop(self.index.name, schema_editor)  # what an interrupted migration has left, perhaps unusable
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        else:
            migrations.AddIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, _app: str, schema_editor: Any, _from_state: Any, _to_state: Any) -> None:
        _drop(self.index.name, schema_editor)


class RemoveIndexOnline(RemoveIndexConcurrently):
    def database_forwards(self, _app: str, schema_editor: Any, _from_state: Any, _to_state: Any) -> None:
        _drop(self.name, schema_editor)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        _drop(self.name, schema_editor)
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
        else:
            migrations.RemoveIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)


def _drop(name: str, schema_editor: Any) -> None:
    """Drop the index if there is one. PostgreSQL keeps one whose creation was interrupted, unusable."""
    online = "CONCURRENTLY " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP INDEX {online}IF EXISTS {schema_editor.quote_name(name)}")
