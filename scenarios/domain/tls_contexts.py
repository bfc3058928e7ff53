"""TLS contexts for connections, from PEM files of the site. Without Django, because loads need them, too."""

import os
import ssl
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scenarios.domain.errors import StepImpossible

_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """`ca` has the authorities to trust instead of the system's; `certificate` that of a client and its key.

    Without `verify`, any certificate of a server is accepted. `protocol` is what is spoken then, if the
    server wants to know it before (ALPN).
    """

    verify: bool = True
    ca: Path | None = None
    certificate: Path | None = None
    protocol: str = ""


def build_context(files: TlsFiles) -> ssl.SSLContext:
    """The context for a connection; the same one until a file changes.

    Raises:
        StepImpossible: a file is missing, others may read its key, or it is not what it should be.
    """
    return _build_context(files, tuple(_read_state(file) for file in (files.ca, files.certificate) if file))


def _read_state(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise _explain(file, "it is not a file")
        if _is_open_to_others(found) and _KEY in file.read_bytes():
            raise _explain(file, f"others may read its key: run 'chmod 600 {file.name}'")
    except OSError as error:
        raise _explain(file, error.strerror) from error
    return found.st_mtime_ns, found.st_ctime_ns


def _is_open_to_others(found: os.stat_result) -> bool:
    """As PostgreSQL's clients judge keys: the group may read one that belongs to root, as in Kubernetes."""
    allowed = 0o640 if found.st_uid == 0 else 0o600
    return bool(stat.S_IMODE(found.st_mode) & 0o077 & ~allowed)


def _explain(file: Path, reason: object) -> StepImpossible:
    return StepImpossible(f"{file.name!r} in CERTIFICATE_DIR cannot be used: {reason}")


# Loading authorities takes milliseconds, and a probe may be repeated for hours.
@lru_cache(maxsize=64)
def _build_context(files: TlsFiles, states: tuple[tuple[int, int], ...]) -> ssl.SSLContext:
    del states
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (OSError, ValueError) as error:
        assert files.ca is not None  # noqa: S101 - the system's own are not read from a file that is named
        raise _explain(files.ca, "it is not a PEM file with certificates of authorities") from error
    if files.protocol:
        context.set_alpn_protocols([files.protocol])
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.certificate is not None:
        try:
            # With an empty passphrase, because OpenSSL would ask for one on the terminal.
            context.load_cert_chain(files.certificate, password="")
        except (OSError, ValueError) as error:
            rule = "it must be a PEM file with a certificate and its key, which has no passphrase"
            raise _explain(files.certificate, rule) from error
    return context


def explain_refusal(error: BaseException | None) -> str:
    """Why a connection could not be encrypted, as the end of a sentence; "" if that was not the reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted: {error.verify_message or error.reason}"
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "ALERT" not in reason:
        return ""
    said = reason.partition("ALERT_")[2].lower().replace("_", " ")
    hint = ": name one with 'tls: {certificate: NAME}'" if said == "certificate required" else ""
    return f"refused the encrypted connection, {said}{hint}"
