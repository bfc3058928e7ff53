"""Where the files of the coordinator are: in a clone of the repository, or in an installed package.

Read before anything else, so it uses only the standard library.
"""

import os
from pathlib import Path

# The folder of the packages: the clone, or site-packages.
PACKAGES = Path(__file__).resolve().parent.parent
_INSTALLED = Path(__file__).resolve().parent / "installed"
IS_INSTALLED = (_INSTALLED / "manage.py").exists()
# The folder of manage.py, gunicorn.conf.py, docs/ and deploy/.
FILES = _INSTALLED if IS_INSTALLED else PACKAGES


def _find_own_folder(variable: str, usual: str) -> Path:
    """By https://specifications.freedesktop.org/basedir-spec/latest/."""
    named = os.environ.get(variable, "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / usual) / "test-coordinator"


def find_data_folder() -> Path:
    """The default of DATA_DIR."""
    return _find_own_folder("XDG_DATA_HOME", ".local/share") if IS_INSTALLED else PACKAGES / "var"


def find_settings_file() -> Path:
    """The file with settings that are not in the environment."""
    return _find_own_folder("XDG_CONFIG_HOME", ".config") / ".env" if IS_INSTALLED else PACKAGES / ".env"
