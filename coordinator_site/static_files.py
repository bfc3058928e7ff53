"""Serves static files from where they are written, or their compressed copies where these are as new."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc] # the library has no types
    """WhiteNoise, which prefers the source of a file, but without its compressed copies.

    `manage.py up` collects them. A file that was edited since is served from its source.
    """

    def add_file_to_dictionary(self, url: str, path: str, stat_cache: Any = None) -> None:
        if url in self.files and self._has_current_copy(url, path):
            return
        super().add_file_to_dictionary(url, path, stat_cache=stat_cache)

    def _has_current_copy(self, url: str, source: str) -> bool:
        copy = Path(self.static_root, url.removeprefix(self.static_prefix))
        try:
            return copy.stat().st_mtime >= Path(source).stat().st_mtime
        except OSError:
            return False


def collect_static_files() -> None:
    """Copy and compress what is new since the last time; processes that start later serve it."""
    if not settings.DEBUG:  # it looks for each file at each request
        call_command("collectstatic", interactive=False, verbosity=0)
