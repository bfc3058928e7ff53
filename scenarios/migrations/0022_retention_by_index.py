from django.db import migrations, models

from scenarios.database.online_indexes import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("scenarios", "0021_priority_of_schedules")]

    operations = [
        AddIndexOnline(
            model_name="run",
            index=models.Index(fields=["state", "finished_at"], name="scenarios_r_state_e3cffa_idx"),
        ),
    ]
