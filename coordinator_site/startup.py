"""What a server does before it serves: the system checks that `manage.py` would do."""

import django
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured


def refuse_what_checks_find() -> None:
    """Neither WSGI nor ASGI runs the checks, so a wrong setting would show only when it is used.

    Raises:
        ImproperlyConfigured: with each error that a check found.
    """
    django.setup(set_prefix=False)
    errors = [message for message in run_checks() if message.is_serious() and not message.is_silenced()]
    if errors:
        raise ImproperlyConfigured("\n".join(str(error) for error in errors))
