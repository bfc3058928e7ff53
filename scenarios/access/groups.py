"""Groups for the roles of most teams. Created unless one has the name, and yours afterwards.

None of them may manage accounts, because anyone who may change a user can become a superuser.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission, User

_VIEW = tuple(
    f"scenarios.view_{model}"
    for model in (
        *("scenario", "run", "event", "fault", "service", "host", "environment"),
        *("schedule", "scheduledtime", "approval", "webhook", "delivery", "allowlist"),
    )
)
_RUN = (*_VIEW, "scenarios.run_scenario", "scenarios.stop_run", "scenarios.pull_globalstop")
_WRITE = tuple(
    f"scenarios.{verb}_{model}" for model in ("scenario", "schedule") for verb in ("add", "change", "delete")
)
# People who may edit may also approve for others: the rule that nobody approves their own request applies to
# each run, whatever groups they are in.
GROUPS = {
    "Viewer": _VIEW,
    "Runner": _RUN,
    "Editor": (*_RUN, *_WRITE),
    "Approver": (*_VIEW, "scenarios.approve_run", "scenarios.stop_run", "scenarios.pull_globalstop"),
    "Administrator": (
        *_RUN,
        *_WRITE,
        *("scenarios.approve_run", "scenarios.acknowledge_fault", "scenarios.protect_service"),
        "scenarios.delete_run",
        *("scenarios.add_service", "scenarios.change_service", "scenarios.delete_service"),
        *("scenarios.add_host", "scenarios.change_host", "scenarios.delete_host", "scenarios.protect_host"),
        *("scenarios.add_environment", "scenarios.change_environment", "scenarios.delete_environment"),
        *("scenarios.add_webhook", "scenarios.change_webhook", "scenarios.delete_webhook"),
        *("scenarios.change_allowlist", "scenarios.view_auditentry"),
    ),
}


def admit_members(sender: type, *, instance: Any, action: str, **changed: Any) -> None:
    """Give people who join one of these groups the staff status, without which no page opens.

    A signal of Django's, for changes from either side: a user's groups, and a group's users. People
    without a password log in by single sign-on, where the provider decides who may enter.
    """
    if action != "post_add" or sender is not User.groups.through:
        return
    changed_rows = changed["pk_set"]
    if isinstance(instance, Group):
        joined = list(User.objects.filter(pk__in=changed_rows)) if instance.name in GROUPS else []
    else:
        is_ours = Group.objects.filter(pk__in=changed_rows, name__in=GROUPS).exists()
        joined = [instance] if is_ours else []
    for user in joined:
        if user.has_usable_password() and not user.is_staff:
            user.is_staff = True
            user.save(update_fields=["is_staff"])


def make_groups(sender: AppConfig, **options: Any) -> None:
    """After `migrate`. Permissions are created first, whatever the order of the apps."""
    missing = set(GROUPS) - set(Group.objects.values_list("name", flat=True))
    if not missing:
        return
    create_permissions(sender, verbosity=0, using=options.get("using", "default"))
    known = Permission.objects.select_related("content_type")
    by_name = {f"{found.content_type.app_label}.{found.codename}": found for found in known}
    for name, permissions in GROUPS.items():
        if name in missing:
            Group.objects.create(name=name).permissions.set(by_name[each] for each in permissions)
