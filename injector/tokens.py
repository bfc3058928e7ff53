"""The tokens that the control API accepts."""

import hmac
import logging
from collections.abc import Sequence
from pathlib import Path

from injector.files import sign
from injector.signatures import sign_request

logger = logging.getLogger(__name__)


class Tokens:
    """One token for each line of a file, or the given ones.

    While a token is being changed, the file has both, because the coordinator and the proxy cannot change at
    the same moment. The file is read again when it changes; if it cannot be used, the earlier tokens stay.
    """

    def __init__(self, values: Sequence[str], file: Path | None = None) -> None:
        self._values = tuple(values)
        self._file = file
        self._seen = sign(file) if file is not None else ()

    @classmethod
    def read(cls, file: Path) -> "Tokens":
        """The tokens of a file.

        Raises:
            OSError: it cannot be read.
            ValueError: it has no token.
        """
        return cls(_read_lines(file), file)

    def accept(self, token: str) -> bool:
        self._refresh()
        given = token.encode()
        return any(hmac.compare_digest(given, value.encode()) for value in self._values)

    def accept_signed(self, nonce: str, mac: str, method: str, path: str, body: bytes) -> bool:
        """Whether one of the tokens has made the code of this request."""
        self._refresh()
        codes = [sign_request(value, nonce, method, path, body) for value in self._values]
        return any(hmac.compare_digest(mac, code) for code in codes)

    def _refresh(self) -> None:
        if self._file is None or (seen := sign(self._file)) == self._seen:
            return
        self._seen = seen
        try:
            self._values = _read_lines(self._file)
        except (OSError, ValueError) as error:
            logger.warning("the token stays as it was: %s", error)
        else:
            logger.info("the token was read again from %s", self._file)


def _read_lines(file: Path) -> tuple[str, ...]:
    values = tuple(line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip())
    if not values:
        raise ValueError(f"{str(file)!r} is empty")
    return values
