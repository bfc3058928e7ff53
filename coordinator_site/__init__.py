"""The site: settings, entry points, and what sets up a fresh machine."""

__version__ = "0.1.0"
