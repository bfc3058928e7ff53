"""The lines that gunicorn itself logs, in the shape of all others."""

import logging.config
from collections.abc import Mapping
from typing import Any

from gunicorn.glogging import Logger


def logger_writing(config: Mapping[str, Any]) -> type[Logger]:
    """A `logger_class`. It still writes no line for each request, unless told to by `--access-logfile -`;
    `logconfig_dict`, which would do the rest as well, would make gunicorn write them all.
    """

    class OurLogger(Logger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            logging.config.dictConfig(dict(config))

    return OurLogger
