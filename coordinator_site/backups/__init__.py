"""Backup and restore: one file with the database and the key that its secrets are derived from."""
