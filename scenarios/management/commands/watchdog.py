"""`manage.py watchdog`: runs until SIGTERM or SIGINT."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from scenarios.checks import BEFORE_COMMANDS
from scenarios.supervision.long_running import end_in_the_log
from scenarios.supervision.watchdog import Watchdog


class Command(BaseCommand):
    help = (
        "Take over runs whose worker has died, undo their faults, retry outstanding faults, start scheduled "
        "runs and send messages."
    )
    requires_system_checks = BEFORE_COMMANDS

    def handle(self, *_arguments: Any, **_options: Any) -> None:
        with end_in_the_log("The watchdog"):
            asyncio.run(watch_until_signal())


async def watch_until_signal() -> None:
    watchdog = Watchdog()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, watchdog.stop)
    await watchdog.watch()
