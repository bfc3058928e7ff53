"""Runs the system checks before a server starts, as `manage.py` does."""

import django
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured


def run_system_checks() -> None:
    """Run the system checks, because WSGI and ASGI do not.

    Raises:
        ImproperlyConfigured: lists every error that the checks found.
    """
    django.setup(set_prefix=False)
    errors = [message for message in run_checks() if message.is_serious() and not message.is_silenced()]
    if errors:
        raise ImproperlyConfigured("\n".join(str(error) for error in errors))
