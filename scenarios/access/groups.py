"""Groups for the people that most teams have. Made where there is none of the name, and yours afterwards.

None of them may manage accounts: whoever may change a user can make himself a superuser.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

_LOOK = tuple(
    f"scenarios.view_{model}"
    for model in (
        *("scenario", "run", "event", "fault", "service"),
        *("schedule", "scheduledtime", "approval", "webhook", "delivery"),
    )
)
_RUN = (*_LOOK, "scenarios.run_scenario", "scenarios.stop_run", "scenarios.pull_globalstop")
_WRITE = tuple(
    f"scenarios.{verb}_{model}" for model in ("scenario", "schedule") for verb in ("add", "change", "delete")
)
# Who may edit what a second person then decides on may well be that second person for others: the rule that
# nobody approves his own holds for each run, whatever groups he is in.
GROUPS = {
    "Viewer": _LOOK,
    "Runner": _RUN,
    "Editor": (*_RUN, *_WRITE),
    "Approver": (*_LOOK, "scenarios.approve_run", "scenarios.stop_run", "scenarios.pull_globalstop"),
    "Administrator": (
        *_RUN,
        *_WRITE,
        *("scenarios.approve_run", "scenarios.acknowledge_fault", "scenarios.protect_service"),
        *("scenarios.add_service", "scenarios.change_service", "scenarios.delete_service"),
        *("scenarios.add_webhook", "scenarios.change_webhook", "scenarios.delete_webhook"),
    ),
}


def make_groups(sender: AppConfig, **options: Any) -> None:
    """After `migrate`. Permissions are made first: whose turn comes when depends on the order of the apps."""
    missing = set(GROUPS) - set(Group.objects.values_list("name", flat=True))
    if not missing:
        return
    create_permissions(sender, verbosity=0, using=options.get("using", "default"))
    for name, permissions in GROUPS.items():
        if name in missing:
            Group.objects.create(name=name).permissions.set(_permissions(permissions))


def _permissions(names: tuple[str, ...]) -> Iterator[Permission]:
    for name in names:
        app, codename = name.split(".")
        yield Permission.objects.get(content_type__app_label=app, codename=codename)
