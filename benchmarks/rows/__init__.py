"""What many_rows.py fills a database with, and measures there; Django must have been set up."""
