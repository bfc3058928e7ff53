from django.db import migrations, models
from django.utils import timezone


def protect_from_now(apps, _schema_editor):
    apps.get_model("scenarios", "Service").objects.filter(is_protected=True).update(protected_since=timezone.now())


class Migration(migrations.Migration):
    dependencies = [("scenarios", "0019_unverified_rollbacks")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="targets",
            field=models.JSONField(help_text="Services and addresses that its acting steps name.", null=True),
        ),
        migrations.AddField(
            model_name="service",
            name="protected_since",
            field=models.DateTimeField(
                editable=False, help_text="Since when it is protected at this address.", null=True
            ),
        ),
        migrations.RunPython(protect_from_now, migrations.RunPython.noop),
    ]
