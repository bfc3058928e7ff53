from django.db import migrations, models

from scenarios.database.online_indexes import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("scenarios", "0040_invitations")]

    operations = [
        AddIndexOnline(
            model_name="run",
            index=models.Index(
                fields=[
                    "environment",
                    "-queued_at",
                    "-id",
                    "scenario",
                    "outcome",
                    "rollback",
                    "state",
                    "started_by",
                ],
                name="scenarios_r_environ_606b9b_idx",
            ),
        ),
        AddIndexOnline(
            model_name="fault",
            index=models.Index(
                fields=["state", "-id", "service", "driver"],
                name="scenarios_f_state_c9f039_idx",
            ),
        ),
        AddIndexOnline(
            model_name="fault",
            index=models.Index(
                fields=["service", "-id", "state", "driver"],
                name="scenarios_f_service_011049_idx",
            ),
        ),
        AddIndexOnline(
            model_name="fault",
            index=models.Index(
                fields=["driver", "-id", "state", "service"],
                name="scenarios_f_driver_5c711f_idx",
            ),
        ),
    ]
