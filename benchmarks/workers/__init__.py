"""What many_workers.py starts, asks and computes."""
