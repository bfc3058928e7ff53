"""The application that a server is measured with."""

from benchmarks.peers import site

application = site.wsgi()
