"""The stored scenarios made the same as a set of documents."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError

from scenarios.domain.errors import ScenarioError
from scenarios.models import Fault, Scenario


class CannotRemove(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """A scenario is still needed: by a run that goes on, by a fault, by what else refers to it."""


@transaction.atomic
def remove_scenario(name: str, *, by: User | None = None) -> None:
    """Delete the scenario; its runs and the history of its documents stay.

    Raises:
        CannotRemove: a run of it goes on or has left a fault, or something else refers to it.
    """
    # Locked: a run that is being started meanwhile has to wait, and is then refused.
    scenario = Scenario.objects.select_for_update().filter(name=name).first()
    if scenario is None:
        return
    if obstacle := _why_needed(scenario):
        raise CannotRemove(f"Scenario {name!r} cannot be removed now: {obstacle}.")
    scenario.changed_by = by
    try:
        scenario.delete()
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name) for row in error.protected_objects})  # noqa: SLF001 - Django's own public name for it
        raise CannotRemove(
            f"Scenario {name!r} cannot be removed now: a {' and a '.join(kinds)} refers to it."
        ) from error


def _why_needed(scenario: Scenario) -> str:
    if (run := scenario.runs.unfinished().first()) is not None:
        return f"run {run.short_id} of it is {run.state}"
    if (fault := Fault.objects.to_undo().filter(run__scenario=scenario).first()) is not None:
        return f"fault {fault.action!r} of its run {fault.run.short_id} is not undone"
    return ""
