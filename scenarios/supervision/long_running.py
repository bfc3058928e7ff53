"""For commands that run for days: however they end, the log says so in its usual form."""

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

logger = logging.getLogger(__name__)

OBJECTS_BETWEEN_COLLECTIONS = 50_000


@contextmanager
def end_in_the_log(what: str) -> Iterator[None]:
    """Log an exception as a line of the log, and exit with code 1, so that the supervisor restarts it."""
    gc.freeze()  # what is loaded stays: the collector need not look through it
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        yield
    except CommandError:
        raise
    except Exception:
        logger.critical("%s ends", what, exc_info=True)
        sys.exit(1)
