"""What commands that go on for days have in common: however they end, the log says it as it says all else."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

logger = logging.getLogger(__name__)


@contextmanager
def end_in_the_log(what: str) -> Iterator[None]:
    """Whatever is raised becomes a line of the log, and exit code 1: whoever supervises starts it again."""
    try:
        yield
    except CommandError:
        raise
    except Exception:
        logger.critical("%s ends", what, exc_info=True)
        sys.exit(1)
