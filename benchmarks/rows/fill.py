"""Many rows, each a copy of one that the product wrote: made within the database, millions in a minute."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from scenarios.domain.outcomes import Outcome
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Event, Fault, NamedService, Run, Scenario
from tests.integration.scenarios.story_rows import DOCUMENT

SERVICES, SERVICES_EACH = 20, 2
EVENTS_EACH, FAULTS_EACH, FAULTS_LEFT = 10, 2, 3
# Of the runs, how many are older than RETENTION_DAYS.
SHARE_OF_OLD, RETENTION_DAYS = 0.8, 90
BUSY_USER = "load"


def fill_with_scenarios(count: int) -> None:
    """Scenarios, each of which names two of the services."""
    for number in range(SERVICES):
        registered_services.register_service(f"service-{number}", "http://127.0.0.1:9")
    scenario = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    copy_row(scenario, number_rows(count - 1), name="'scenario-' || e.n")
    named = NamedService.objects.filter(scenario=scenario).first()
    assert named is not None
    others = f"SELECT id, name FROM scenarios_scenario WHERE id <> {scenario.pk}"
    for number in range(SERVICES_EACH):
        service = f"'service-' || ((e.id + {number}) %% {SERVICES})"
        copy_row(named, others, scenario_id="e.id", scenario_name="e.name", service=service)


def fill_with_runs(count: int) -> None:
    """Runs that have ended, at least one a minute, most of them long ago; the newest left a few faults."""
    run, fault, event = _store_run()
    younger = count * (1 - SHARE_OF_OLD)
    # None is of a time to come.
    apart = timedelta(seconds=int(min(60, RETENTION_DAYS * 86_400 / younger)))
    newest = timezone.now() - timedelta(days=RETENTION_DAYS) + younger * apart
    moments_of_run = ("queued_at", "claimed_at", "finished_at")
    copy_run(run, count - 1, newest, apart, *moments_of_run, **_describe_variety())
    is_postgresql = connection.vendor == "postgresql"
    own = f"'{run.pk}'" if is_postgresql else f"'{run.pk.hex}'"
    others = "SELECT r.id, r.finished_at, m.n FROM scenarios_run r CROSS JOIN ({}) m WHERE r.id <> {}"
    moments = dict.fromkeys(("opened_at", "injected_at", "closed_at"), "e.finished_at")
    copy_row(fault, others.format(number_rows(FAULTS_EACH), own), run_id="e.id", order="e.n", **moments)
    each = others.format(number_rows(EVENTS_EACH), own)
    copy_row(event, each, run_id="e.id", sequence="e.n", at="e.finished_at")
    _leave_faults()
    vacuum()


def vacuum() -> None:
    """As PostgreSQL does by itself within a minute."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model in (Run, Fault, Event):
                cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")


def fill_lately(count: int) -> None:
    """Runs of the stored scenarios in the last 30 days, with every outcome, and an undone fault each."""
    run, fault, event = _store_run()
    event.delete()
    scenarios = list(Scenario.objects.order_by("pk").values_list("pk", "name"))
    users = [user.pk for user in (*User.objects.all(), User.objects.create_user(BUSY_USER))]
    apart = timedelta(seconds=max(1, 30 * 86_400 // count))
    copy_run(
        run,
        count - 1,
        timezone.now(),
        apart,
        *("queued_at", "claimed_at", "finished_at"),
        scenario_id=_choose([str(key) for key, _name in scenarios]),
        scenario_name=_choose([f"'{name}'" for _key, name in scenarios]),
        outcome=_choose([f"'{outcome.value}'" for outcome in Outcome]),
        started_by_id=_choose([str(user) for user in users]),
        rollback="CASE WHEN e.n %% 1000 = 0 THEN 'dirty' ELSE 'clean' END",
    )
    moments = dict.fromkeys(("opened_at", "injected_at", "closed_at"), "e.finished_at")
    ended = "SELECT r.id, r.finished_at FROM scenarios_run r LEFT JOIN scenarios_fault f ON f.run_id = r.id"
    copy_row(fault, f"{ended} WHERE f.id IS NULL", run_id="e.id", **moments)
    vacuum()


def _choose(values: Sequence[str]) -> str:
    """One of the values after the other."""
    cases = " ".join(f"WHEN {number} THEN {value}" for number, value in enumerate(values))
    return f"CASE e.n %% {len(values)} {cases} END"


def _describe_variety() -> dict[str, str]:
    """By column: of four runs, one is of the first scenario; a third is a user's, each tenth in staging."""
    first = Scenario.objects.order_by("pk").values_list("pk", flat=True).first()
    user = User.objects.create_user(BUSY_USER)
    scenarios = min(50, Scenario.objects.count())
    return {
        "scenario_id": f"CASE WHEN e.n %% 4 = 0 THEN {first} ELSE {first} + e.n %% {scenarios} END",
        "started_by_id": f"CASE WHEN e.n %% 3 = 0 THEN {user.pk} END",
        "environment": "CASE WHEN e.n %% 10 = 0 THEN 'staging' ELSE '' END",
        "outcome": "CASE WHEN e.n %% 6 = 0 THEN 'failed' ELSE 'passed' END",
    }


def copy_run(
    run: Run, count: int, newest: datetime, apart: timedelta, *moments: str, **expressions: str
) -> None:
    """Write copies of the run: their `moments`, which are columns, go back from the newest one."""
    moment, seconds = f"{newest:%Y-%m-%d %H:%M:%S}", int(apart.total_seconds())
    key, at = "printf('%%032x', e.n)", f"datetime('{moment}', (-e.n * {seconds}) || ' seconds')"
    if connection.vendor == "postgresql":
        key = "lpad(to_hex(e.n), 32, '0')::uuid"
        at = f"TIMESTAMPTZ '{moment}+00' - e.n * INTERVAL '{seconds} seconds'"
    copy_row(run, number_rows(count), id=key, **dict.fromkeys(moments, at), **expressions)


def number_rows(count: int) -> str:
    """A query with the numbers from 1 to `count`, as column `n`."""
    return (
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
        "SELECT n FROM numbers"
    )


def copy_row(row: Model, each: str, **expressions: str) -> None:
    """Write a copy of the stored row for each row `e` that the query finds.

    `expressions` tell, by column, what differs from the row that is copied.
    """
    key = row._meta.pk
    assert key.column is not None
    names = [str(field.column) for field in row._meta.concrete_fields]
    if key.column not in expressions:
        names.remove(key.column)
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(expressions.get(name, f't."{name}"') for name in names)
    table = row._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} t CROSS JOIN ({each}) e "
            f'WHERE t."{key.column}" = %s',
            [key.get_db_prep_value(row.pk, connection)],
        )


def _store_run() -> tuple[Run, Fault, Event]:
    """One that has just ended, with a fault and an event."""
    now = timezone.now()
    run = Run.objects.create(
        scenario_name="exchange-latency",
        document=DOCUMENT,
        state="finished",
        outcome="passed",
        rollback="clean",
        reason="every validation held",
        started_from="api",
        claimed_at=now,
        finished_at=now,
    )
    fault = Fault.objects.create(
        run=run,
        order=1,
        phase="chaos",
        action="slow it down",
        driver="http",
        service="exchange",
        undo={"driver": "http", "arguments": {"service": "exchange", "method": "DELETE", "path": "/chaos"}},
        timeout=5,
        state="undone",
        opened_at=now,
        injected_at=now,
        closed_at=now,
    )
    seen = {"seen": {"status": 200, "elapsed": 0.01}}
    event = Event.objects.create(run=run, sequence=1, kind="action_finished", at=now, detail=seen)
    return run, fault, event


def _leave_faults() -> None:
    runs = list(Run.objects.order_by("-finished_at").values_list("pk", flat=True)[:FAULTS_LEFT])
    Run.objects.filter(pk__in=runs).update(rollback="dirty")
    later = timezone.now() + timedelta(hours=1)
    left = Fault.objects.filter(run__in=runs, order=1)
    left.update(state="outstanding", closed_at=None, next_try_at=later, reason="answered 503")


def create_reader(name: str) -> User:
    """A superuser with nothing that the one of an earlier measurement had."""
    User.objects.filter(username=name).delete()
    return User.objects.create_superuser(name)
