"""Backup and restore: one file with the database and the key from which its secrets are derived."""
