"""The paths whose requests are not measured; checked before Django resolves the request."""

from collections.abc import Container

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.translation import get_language_from_path, override

from metrics_app.conf import conf


def find_unmeasured_paths() -> Container[str]:
    """The paths in the setting EXCLUDE, and the exposition unless scrapes are counted."""
    scraped: Container[str] = frozenset() if conf.count_scrapes else find_scrape_paths()
    prefixes = tuple(item for item in conf.exclude if item.startswith("/"))
    return PathsAndPrefixes(scraped, prefixes) if prefixes else scraped


class PathsAndPrefixes(Container[str]):
    def __init__(self, paths: Container[str], prefixes: tuple[str, ...]) -> None:
        self._paths = paths
        self._prefixes = prefixes

    def __contains__(self, path: object) -> bool:
        return path in self._paths or (isinstance(path, str) and path.startswith(self._prefixes))


def find_scrape_paths() -> Container[str]:
    """Every path of the exposition; empty if it has no URL."""
    path = _reversed_path()
    if path is None:
        return frozenset[str]()
    if settings.USE_I18N and is_language_prefix_patterns_used(settings.ROOT_URLCONF)[0]:
        languages = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
        with override(languages[0] if languages else settings.LANGUAGE_CODE):
            localized = _reversed_path()
        if localized and get_language_from_path(localized):
            return LocalizedPaths(_without_language(localized))
    return frozenset({path})


class LocalizedPaths(Container[str]):
    """A path with the prefix of any language, and without one."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str) or not path.endswith(self._path):
            return False
        return path == self._path or (
            _without_language(path) == self._path and get_language_from_path(path) is not None
        )


def _reversed_path() -> str | None:
    try:
        return "/" + reverse("metrics:exposition").removeprefix(get_script_prefix())
    except NoReverseMatch:
        return None


def _without_language(path: str) -> str:
    return "/" + path[1:].partition("/")[2]
