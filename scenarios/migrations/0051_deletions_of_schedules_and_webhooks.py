import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("scenarios", "0050_deletions_of_active_people"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="deletionrequest", name="deletion_of_one_thing"),
        migrations.AddField(
            model_name="deletionrequest",
            name="schedule",
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="deletion", to="scenarios.schedule"),
        ),
        migrations.AddField(
            model_name="deletionrequest",
            name="webhook",
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="deletion", to="scenarios.webhook"),
        ),
        migrations.AlterField(
            model_name="deletionrequest",
            name="was_active",
            field=models.BooleanField(default=False, help_text="Whether the person could log in, the schedule was not paused, or the webhook was enabled."),
        ),
        migrations.AddConstraint(
            model_name="deletionrequest",
            constraint=models.CheckConstraint(condition=models.Q(("person__isnull", True), ("scenario__isnull", False), ("schedule__isnull", True), ("webhook__isnull", True)) | models.Q(("person__isnull", False), ("scenario__isnull", True), ("schedule__isnull", True), ("webhook__isnull", True)) | models.Q(("person__isnull", True), ("scenario__isnull", True), ("schedule__isnull", False), ("webhook__isnull", True)) | models.Q(("person__isnull", True), ("scenario__isnull", True), ("schedule__isnull", True), ("webhook__isnull", False)), name="deletion_of_one_thing"),
        ),
    ]  # fmt: skip
