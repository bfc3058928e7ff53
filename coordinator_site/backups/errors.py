"""Why a backup cannot be made or restored."""


class BackupError(Exception):
    """The sentence says what is wrong, with a hint; nothing was changed."""
