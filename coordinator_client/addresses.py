"""The address of a coordinator, the token, certificates and proxies."""

import os
import re
import ssl
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

from coordinator_client.errors import NotFoundError, SettingsError

MAX_SHOWN = 200
# A host, perhaps with a port and a path, where the scheme was left out.
_BARE = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")
TOKEN_VARIABLE = "TEST_COORDINATOR_TOKEN"  # noqa: S105 - the name of a variable


def check_address(server: str) -> str:
    """The address without a slash and without the path of the API at its end.

    Raises:
        SettingsError: it is not that of a server, or contains a user, a password or a query.
    """
    server = server.strip()
    try:
        parts = urlsplit(server)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        fits = fits and not (parts.username or parts.password or parts.query or parts.fragment)
        fits = fits and server.isascii() and not any(character <= " " for character in server)
    except ValueError:
        fits = False
    if not fits:
        # An address with a user may have a password, too, which must not be shown.
        shown = "" if "@" in server else f" {server[:MAX_SHOWN]!r}"
        hint = "give one like 'https://coordinator.example', without a user, a password or a query."
        if _BARE.fullmatch(server):
            hint = f"did you mean 'http://{server}'?"
        raise SettingsError(f"Invalid address of a coordinator{shown}; {hint}")
    return server.rstrip("/").removesuffix("/api/v1")


def check_token(token: str) -> str:
    """The token without the line end that files of Windows and shells leave behind it."""
    token = token.strip()
    if not all("!" <= character <= "~" for character in token):
        raise SettingsError(f"{TOKEN_VARIABLE} contains characters that are not allowed in a token.")
    return token


def quote_segment(name: object) -> str:
    """Escape a name as one segment of a path.

    Raises:
        NotFoundError: nothing can have this name. Servers would take it for several segments, or for none.
    """
    if not str(name) or "/" in str(name):
        sentence = (
            f"There is nothing with the name {str(name)[:MAX_SHOWN]!r}: names have no '/', and are not empty."
        )
        raise NotFoundError(sentence, status=HTTPStatus.NOT_FOUND, code="not_found")
    return quote(str(name), safe="")


def build_tls_context(authority: str = "") -> ssl.SSLContext:
    """Trusts the file `authority` only, or the authorities of the system (or of SSL_CERT_FILE).

    Raises:
        SettingsError: the file has no certificate.
    """
    places = ssl.get_default_verify_paths()
    if not authority and not os.environ.get("SSL_CERT_FILE"):  # which OpenSSL itself reads
        authority = os.environ.get("REQUESTS_CA_BUNDLE", "")
    if not authority and not (places.cafile or places.capath):
        import certifi  # noqa: PLC0415 - only where the system has no authorities

        authority = certifi.where()
    try:
        return ssl.create_default_context(cafile=authority or None)
    except OSError as error:
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"Cannot use the certificate authority {authority!r}: {reason}.") from error


def hide_user(proxy: str) -> str:
    """The address of the proxy without a user and a password."""
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def find_user(proxy: str) -> tuple[str, str] | None:
    """The user and the password in the address of the proxy."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def find_proxy(server: str) -> str:
    """The proxy for the server, by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; "" if none."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - slow, and rarely needed

    parts = urlsplit(server)
    proxies = getproxies()
    if proxy_bypass(parts.netloc):
        return ""
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if proxy and urlsplit(proxy if "://" in proxy else f"http://{proxy}").scheme not in {"http", "https"}:
        raise SettingsError("Only proxies of HTTP are supported; the environment names another kind.")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"
