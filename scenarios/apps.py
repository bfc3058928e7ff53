from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import m2m_changed, post_migrate

from metrics_app.metrics import read_at_scrape
from scenarios.checks import (
    INSTALLATION,
    check_clusters,
    check_container_engines,
    check_database_encoding,
    check_drivers,
    check_host,
    check_outside,
)


class ScenariosConfig(AppConfig):
    name = "scenarios"
    verbose_name = "Control room"

    def ready(self) -> None:
        # Models are loaded by now, not before.
        from scenarios import tasks  # noqa: PLC0415
        from scenarios.access import audit  # noqa: PLC0415
        from scenarios.access.groups import admit_members, make_groups  # noqa: PLC0415
        from scenarios.library.allow_lists import make_allow_lists  # noqa: PLC0415
        from scenarios.runs import task_queue  # noqa: PLC0415
        from scenarios.supervision.gauges import read_gauges  # noqa: PLC0415

        task_queue.use_task(tasks.carry_out_run)
        checks.register(check_clusters, INSTALLATION)
        checks.register(check_drivers, INSTALLATION)
        checks.register(check_container_engines, INSTALLATION)
        checks.register(check_host, INSTALLATION)
        checks.register(check_outside, INSTALLATION)
        checks.register(check_database_encoding, checks.Tags.database)
        read_at_scrape(read_gauges)
        post_migrate.connect(make_groups, sender=self)
        post_migrate.connect(make_allow_lists, sender=self)
        m2m_changed.connect(admit_members, dispatch_uid="scenarios.access.groups")
        audit.connect()
