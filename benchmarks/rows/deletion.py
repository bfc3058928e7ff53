"""What it takes to delete a scenario or a person with many runs, beside somebody who writes."""

import time
from collections.abc import Callable

from django.contrib.auth.models import User
from django.test import Client

from benchmarks.goals import Goals
from benchmarks.rows.fill import BUSY_USER
from benchmarks.rows.measure import WRITER_GOAL, beside_a_writer
from scenarios.library import sync
from scenarios.models import Scenario


def measure_deletions(goals: Goals) -> None:
    scenario = Scenario.objects.order_by("pk").first()
    user = User.objects.get(username=BUSY_USER)
    assert scenario is not None
    count = scenario.runs.count()
    _measure(goals, f"deleting a scenario with {count} runs", lambda: sync.remove_scenario(scenario.name))
    assert not Scenario.objects.filter(pk=scenario.pk).exists()
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(User.objects.create_superuser("deleter"), "django.contrib.auth.backends.ModelBackend")
    address, count = f"/admin/auth/user/{user.pk}/delete/", user.run_set.count()
    _measure(goals, f"deleting a user with {count} runs", lambda: browser.post(address, {"post": "yes"}))
    assert not User.objects.filter(pk=user.pk).exists()


def _measure(goals: Goals, what: str, function: Callable[[], object]) -> None:
    begun = time.perf_counter()
    with beside_a_writer() as waits:
        function()
        lasted = time.perf_counter() - begun
    goals.tell(what, lasted, "s")
    goals.at_most(f"another writer waits meanwhile, longest of {len(waits)}", max(waits), WRITER_GOAL, "ms")
