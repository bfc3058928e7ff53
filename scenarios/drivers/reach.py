"""Which addresses the site allows steps to use: any, or only those of registered services."""

_RULE = "this site allows only registered services (ONLY_REGISTERED_SERVICES); name one with 'service'"


def explain_unreachable(what: str) -> str:
    """Why the site refuses an address in a document; '' if it allows it."""
    # Imported late, because declarations load without Django.
    from django.conf import settings  # noqa: PLC0415
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415

    try:
        limited = settings.ONLY_REGISTERED_SERVICES
    except ImproperlyConfigured:
        return ""  # used without a site, as in a benchmark
    return f"{what} is not allowed: {_RULE}" if limited else ""
