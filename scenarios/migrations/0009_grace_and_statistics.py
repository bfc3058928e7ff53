from django.core.validators import MaxValueValidator
from django.db import migrations, models

# What is seldom or never together, though each by itself is frequent. PostgreSQL takes values of columns to
# be independent, expects to find a page soon, and read every run for "by=ada&status=failed" where there is
# none. An index of each pair would do as well, but every renewal of a lease writes to all indexes.
# https://www.postgresql.org/docs/current/planner-stats.html#PLANNER-STATS-EXTENDED
PAIRS = {
    "run_by_and_outcome": "started_by_id, outcome",
    "run_scenario_and_outcome": "scenario_id, outcome",
    "run_scenario_and_by": "scenario_id, started_by_id",
}


def create_statistics(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for name, columns in PAIRS.items():
        schema_editor.execute(f"CREATE STATISTICS {name} (mcv) ON {columns} FROM scenarios_run")
        schema_editor.execute(f"ALTER STATISTICS {name} SET STATISTICS 1000")
    schema_editor.execute("ANALYZE scenarios_run")


def drop_statistics(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for name in PAIRS:
        schema_editor.execute(f"DROP STATISTICS {name}")


class Migration(migrations.Migration):

    dependencies = [("scenarios", "0008_webhooks")]

    operations = [
        migrations.AlterField(
            model_name="schedule",
            name="grace_minutes",
            field=models.PositiveIntegerField(
                default=15, validators=[MaxValueValidator(1440, "At most a day, 1440 minutes.")]
            ),
        ),
        migrations.RunPython(create_statistics, drop_statistics, elidable=False),
    ]
