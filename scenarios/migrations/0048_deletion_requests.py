import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("scenarios", "0047_progress_of_loads"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="entrance",
            field=models.CharField(
                help_text="The control room, the API with a token, a host's command line, or the watchdog.",
                max_length=120,
                verbose_name="through",
            ),
        ),
        migrations.CreateModel(
            name="DeletionRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("requested_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("requested_by_name", models.CharField(help_text="Outlives the account.", max_length=150)),
                ("total", models.PositiveIntegerField(help_text="How many rows referred to it when this was requested.")),
                ("left", models.PositiveIntegerField(help_text="How many of them still do.")),
                ("obstacle", models.CharField(blank=True, help_text="What keeps it from being deleted now.", max_length=500)),
                ("person", models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="deletion", to=settings.AUTH_USER_MODEL)),
                ("requested_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("scenario", models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="deletion", to="scenarios.scenario")),
            ],
            options={
                "ordering": ["pk"],
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("scenario__isnull", True), ("person__isnull", True), _connector="XOR"),
                        name="deletion_of_one_thing",
                    )
                ],
            },
        ),
    ]  # fmt: skip
