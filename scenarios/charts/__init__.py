"""What Prometheus measured around a run: which queries are asked, how, and how the answers are kept.

The watchdog reads them, again and again while the run goes on and for ten minutes after it, so that no
page and no run waits for Prometheus. What is shown is always what is kept.
"""
