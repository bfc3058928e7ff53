from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("scenarios", "0049_retry_requested_at"),
    ]

    operations = [
        migrations.AddField(
            model_name="deletionrequest",
            name="was_active",
            field=models.BooleanField(default=False, help_text="Whether the person could log in before this was requested."),
        ),
    ]  # fmt: skip
