"""Gunicorn's own log lines, in the same format as all others."""

import logging.config
from collections.abc import Mapping
from typing import Any

from gunicorn.glogging import Logger


def build_logger_class(config: Mapping[str, Any]) -> type[Logger]:
    """A class for gunicorn's setting `logger_class`.

    Requests are logged only with `--access-logfile -`; the setting `logconfig_dict` would log them always.
    """

    class ConfiguredLogger(Logger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            logging.config.dictConfig(dict(config))

    return ConfiguredLogger
