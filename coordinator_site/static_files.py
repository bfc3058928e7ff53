"""Serves static files from where they are written, or their compressed copies where these are as new.

Pages name the version of a file in its address, so that browsers keep it until it changes.
"""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedStaticFilesStorage

FOR_A_YEAR = "max-age=31536000, public, immutable"


class VersionedStaticFilesStorage(CompressedStaticFilesStorage):  # type: ignore[misc] # no types
    def url(self, name: str) -> str:
        url = str(super().url(name))
        version = "" if settings.DEBUG else find_version(name)
        return f"{url}?v={version}" if version else url


@lru_cache(maxsize=1_000)
def find_version(name: str) -> str:
    """A digest of the file, as it was when this process first asked; "" for an unknown one."""
    source = finders.find(name)
    return sha256(Path(source).read_bytes()).hexdigest()[:12] if isinstance(source, str) else ""


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc] # the library has no types
    """WhiteNoise, which prefers the source of a file, but without its compressed copies.

    `manage.py up` collects them. A file that was edited since is served from its source.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = super().__call__(request)
        path = request.path_info
        # With the version of another file, as during an upgrade, it is not kept.
        if path in self.files and find_version(path.removeprefix(self.static_prefix)) == request.GET.get("v"):
            response["Cache-Control"] = FOR_A_YEAR
        return response

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
