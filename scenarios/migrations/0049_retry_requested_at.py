from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("scenarios", "0048_deletion_requests")]

    operations = [
        migrations.AddField(
            model_name="fault",
            name="retry_requested_at",
            field=models.DateTimeField(blank=True, help_text="When somebody last asked to undo it at once.", null=True),
        ),
    ]  # fmt: skip
