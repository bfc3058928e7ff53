"""When a certificate is valid. The standard library reads that only for trusted certificates."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_END = "-----END CERTIFICATE-----"
_BEGIN = "-----BEGIN CERTIFICATE-----"
_LONG_FORM = 0x80
_VERSION = 0xA0
_UTC_TIME = 0x17


@dataclass(frozen=True, slots=True)
class Validity:
    """When the certificate in a file begins and ends to be valid."""

    path: str
    begins: datetime
    expires: datetime

    def explain_problem(self, now: datetime) -> str:
        """Why clients refuse the certificate at this time; '' if they do not."""
        if now > self.expires:
            return f"the certificate {self.path!r} expired on {self.expires:%Y-%m-%d %H:%M} UTC; renew it"
        if now < self.begins:
            return f"the certificate {self.path!r} is not valid before {self.begins:%Y-%m-%d %H:%M} UTC"
        return ""


def read_validity(path: str) -> Validity:
    """The validity of the first certificate in a PEM file, which is the one that clients are shown.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no certificate.
    """
    text = Path(path).read_text(encoding="ascii", errors="replace")
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        raise ValueError(f"{path!r} has no certificate; it must contain {_BEGIN!r}")
    try:
        begins, expires = _find_times(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))
    except IndexError as error:
        raise ValueError(f"{path!r} has a certificate that ends too early") from error
    return Validity(path, begins, expires)


def _find_times(der: bytes) -> tuple[datetime, datetime]:
    # RFC 5280, 4.1: Certificate, TBSCertificate, then version, serial number, algorithm, issuer, validity.
    position = _open(der, _open(der, 0))
    if der[position] == _VERSION:
        position = _skip(der, position)
    for _ in range(3):
        position = _skip(der, position)
    first = _open(der, position)
    return _read_time(der, first), _read_time(der, _skip(der, first))


def _open(der: bytes, position: int) -> int:
    """Where the content of the element begins."""
    length = der[position + 1]
    return position + 2 + (length - _LONG_FORM if length & _LONG_FORM else 0)


def _skip(der: bytes, position: int) -> int:
    """Where the element after this one begins."""
    start = _open(der, position)
    length = der[position + 1]
    return start + (int.from_bytes(der[position + 2 : start]) if length & _LONG_FORM else length)


def _read_time(der: bytes, position: int) -> datetime:
    text = der[_open(der, position) : _skip(der, position)].decode("ascii")
    if der[position] == _UTC_TIME:
        # RFC 5280, 4.1.2.5.1: years from 50 on belong to the last century.
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
