"""The site: settings, entry points, and what sets up a fresh machine."""

from coordinator_client.version import __version__

__all__ = ["__version__"]
