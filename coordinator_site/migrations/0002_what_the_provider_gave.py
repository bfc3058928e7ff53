from django.conf import settings
from django.db import migrations, models
from django.db.models import F


def take_over(apps, _schema_editor):
    """Of people who logged in before: the groups that each of their logins set until now."""
    Identity = apps.get_model("coordinator_site", "Identity")
    Identity.objects.filter(user__is_staff=True).update(entered_at=F("seen_at"))
    mapped = set(settings.OIDC_GROUP_MAP.values())
    for identity in Identity.objects.select_related("user").iterator():
        names = identity.user.groups.filter(name__in=mapped).values_list("name", flat=True)
        identity.given_groups = sorted(names)
        identity.save(update_fields=["given_groups"])


class Migration(migrations.Migration):
    dependencies = [("coordinator_site", "0001_identity"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.AddField(
            "identity",
            "entered_at",
            models.DateTimeField(blank=True, help_text="When the provider last let them in.", null=True),
        ),
        migrations.AddField(
            "identity",
            "given_groups",
            models.JSONField(
                blank=True, default=list, help_text="Groups here that a group there gave at the last login."
            ),
        ),
        migrations.RunPython(take_over, migrations.RunPython.noop),
    ]
