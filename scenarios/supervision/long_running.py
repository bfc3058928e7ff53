"""For commands that run for days: however they end or stand still, others can go on."""

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from scenarios.database.idle_transactions import limit_idle_transactions

logger = logging.getLogger(__name__)

OBJECTS_BETWEEN_COLLECTIONS = 50_000


@contextmanager
def end_in_the_log(what: str) -> Iterator[None]:
    """Log an exception as a line of the log, and exit with code 1, so that the supervisor restarts it."""
    limit_idle_transactions()
    gc.freeze()  # what is loaded stays: the collector need not look through it
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        yield
    except CommandError:
        raise
    except Exception:
        logger.critical("%s ends", what, exc_info=True)
        sys.exit(1)
