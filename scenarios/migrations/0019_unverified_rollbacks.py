from typing import Any

from django.db import migrations, models

WIDEN = """
ALTER TABLE scenarios_run
    DROP CONSTRAINT IF EXISTS run_finished_with_outcome,
    ALTER COLUMN rollback TYPE varchar(12),
    ADD CONSTRAINT run_finished_with_outcome CHECK (
        (state = 'finished' AND finished_at IS NOT NULL AND outcome <> '' AND rollback <> '')
        OR (state <> 'finished' AND outcome = '')
    ) NOT VALID
"""


def widen(_apps: Any, editor: Any) -> None:
    """Without a look at any row under a lock: PostgreSQL would check the constraint on the column again.

    SQLite holds no text to a length, and would copy every run with its document for this.
    """
    if editor.connection.vendor == "postgresql":
        editor.execute(WIDEN)
        editor.execute("ALTER TABLE scenarios_run VALIDATE CONSTRAINT run_finished_with_outcome")


class Migration(migrations.Migration):

    # Each statement for itself: the second takes no lock that keeps runs waiting, the first lasts a moment.
    atomic = False

    dependencies = [
        ('scenarios', '0018_late_injections'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(widen, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name='run',
                    name='rollback',
                    field=models.CharField(blank=True, choices=[('clean', 'clean'), ('unverified', 'unverified'), ('dirty', 'dirty')], max_length=12),
                ),
            ],
        ),
    ]
