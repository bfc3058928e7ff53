"""What keeps a backup from being made or restored."""


class BackupError(Exception):
    """The sentence says what is wrong, with a hint; nothing was changed."""
