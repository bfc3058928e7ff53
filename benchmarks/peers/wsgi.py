"""The application for measuring a server."""

from benchmarks.peers import site

application = site.wsgi()
