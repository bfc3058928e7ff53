"""What Prometheus measured around a run: which queries are sent, and how their results are stored.

The watchdog reads them repeatedly during the run and for ten minutes after it, so that no page and no run
waits for Prometheus. Pages show only what is stored.
"""
