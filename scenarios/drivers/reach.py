"""Which addresses the site lets steps reach: any, or those of registered services alone."""

_RULE = "this site reaches registered services only (ONLY_REGISTERED_SERVICES): name one by 'service'"


def explain_unreachable(what: str) -> str:
    """A sentence where the site refuses addresses that a document names; '' where it does not."""
    # Imported when a document is read or a step runs: declarations load without Django.
    from django.conf import settings  # noqa: PLC0415
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415

    try:
        limited = settings.ONLY_REGISTERED_SERVICES
    except ImproperlyConfigured:
        return ""  # there is no site at all: a benchmark, or another program's use of the language
    return f"{what} is refused: {_RULE}" if limited else ""
