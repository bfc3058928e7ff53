"""Where the proxy listens, and for which upstreams: the command line, and the file that it names."""

import argparse
import json
import os
import secrets
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from injector.tokens import Tokens

Address = tuple[str, int]
MAX_PORT = 65535
TOKEN_VARIABLE = "FAULT_PROXY_TOKEN"  # noqa: S105 - the name of a variable
EXAMPLE = '{"control": "H:P", "listeners": [{"listen": "H:P", "upstream": "H:P"}]}'


class SettingError(ValueError):
    """The command line, or the file that it names, makes no sense."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The certificate that clients see, as paths of PEM files. Without `key`, its file has the key, too."""

    certificate: str
    key: str | None = None

    def load(self, context: ssl.SSLContext) -> None:
        """Show this certificate to new connections from now on.

        Raises:
            OSError: a file cannot be read, or does not match the other one (SSLError).
        """
        context.load_cert_chain(self.certificate, self.key)

    def build(self) -> ssl.SSLContext:
        """A context for a listener; raises what `load` raises."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load(context)
        return context


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How the upstream is reached. Without `ca`, the system's certificates are trusted."""

    ca: str | None = None
    verify: bool = True
    server_name: str | None = None
    """The name in the upstream's certificate, where it is not the host of its address."""
    certificate: str | None = None
    key: str | None = None

    def build(self) -> ssl.SSLContext:
        """A context for connections to the upstream.

        Raises:
            OSError: a file cannot be read, or does not fit the other one.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Listener:
    listen: Address
    upstream: Address
    tls: ServerTls | None = None
    upstream_tls: ClientTls | None = None

    @property
    def files(self) -> Iterator[str]:
        """The files that it is made of, besides the configuration."""
        for part in (self.tls, self.upstream_tls):
            names = ("certificate", "key", "ca") if part is not None else ()
            yield from (path for name in names if (path := getattr(part, name, None)) is not None)


@dataclass(frozen=True, slots=True)
class Settings:
    listeners: tuple[Listener, ...]
    control: Address
    control_tls: ServerTls | None = None

    @property
    def files(self) -> list[str]:
        """The files that they are made of, besides the configuration."""
        own = (self.control_tls.certificate, self.control_tls.key) if self.control_tls is not None else ()
        return [path for path in own if path is not None] + [
            path for listener in self.listeners for path in listener.files
        ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", action="append", default=[], metavar="HOST:PORT", help="where clients connect"
    )
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="where their dependency really is",
    )
    parser.add_argument("--control", metavar="HOST:PORT", help="where the control API listens")
    parser.add_argument(
        "--control-certificate", metavar="FILE", help="has the control API speak TLS: a PEM file"
    )
    parser.add_argument("--control-key", metavar="FILE", help="its key, if that is in a file of its own")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"holds the token, or one in each line; else {TOKEN_VARIABLE}",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"JSON: {EXAMPLE}")


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings of the command line, and of the file that it names, as that is now.

    Raises:
        SettingError: they make no sense.
    """
    if len(options.listen) != len(options.upstream):
        raise SettingError("give one --upstream for each --listen, in the same order")
    config = _read_config(options.config) if options.config else {}
    pairs = list(zip(options.listen, options.upstream, strict=True))
    control = options.control or config.get("control")
    if not pairs and not config.get("listeners"):
        raise SettingError("nothing to listen on; give --listen and --upstream")
    if not control:
        raise SettingError("no control API; give --control HOST:PORT")
    listeners = [Listener(parse_address(listen), parse_address(upstream)) for listen, upstream in pairs]
    listeners += _parse_listeners(config)
    places = [listener.listen for listener in listeners if listener.listen[1]]
    if twice := {place for place in places if places.count(place) > 1}:
        host, port = min(twice)
        raise SettingError(f"two listeners have the address {host}:{port}")
    return Settings(tuple(listeners), parse_address(str(control)), _find_control_tls(options, config))


def _find_control_tls(options: argparse.Namespace, config: Mapping[str, object]) -> ServerTls | None:
    if options.control_certificate:
        return ServerTls(options.control_certificate, options.control_key)
    if options.control_key:
        raise SettingError("--control-key needs --control-certificate")
    return _parse_tls(config["control_tls"], "control_tls") if "control_tls" in config else None


def parse_address(text: object) -> Address:
    host, colon, port = str(text).rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) <= MAX_PORT):
        raise SettingError(f"{text!r} is not an address; write it as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def format_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_tokens(file: Path | None) -> Tokens:
    """From the file, or the environment; without either a new one, which is printed.

    Raises:
        SettingError: the file cannot be read, or is empty.
    """
    if file is not None:
        try:
            return Tokens.read(file)
        except OSError as error:
            raise SettingError(f"--token-file {str(file)!r} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SettingError(f"--token-file {error}") from error
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return Tokens([token])
    token = secrets.token_urlsafe(24)
    sys.stdout.write(f"The token of this process: {token}\n")
    return Tokens([token])


def _read_config(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"--config {str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SettingError(f"--config {str(path)!r} must hold a JSON object, as in {EXAMPLE}")
    _refuse_unknown(found, ("control", "control_tls", "listeners"), "the configuration")
    return found


def _parse_listeners(config: Mapping[str, object]) -> Iterator[Listener]:
    listeners = config.get("listeners", [])
    if not isinstance(listeners, list):
        raise SettingError("'listeners' must be a list")
    for entry in listeners:
        if not isinstance(entry, dict) or not {"listen", "upstream"} <= entry.keys():
            raise SettingError("each of 'listeners' needs 'listen' and 'upstream'")
        _refuse_unknown(entry, ("listen", "upstream", "tls", "upstream_tls"), "a listener")
        yield Listener(
            parse_address(entry["listen"]),
            parse_address(entry["upstream"]),
            _parse_tls(entry["tls"]) if "tls" in entry else None,
            _parse_upstream_tls(entry["upstream_tls"]) if entry.get("upstream_tls") else None,
        )


def _parse_tls(given: object, what: str = "tls") -> ServerTls:
    texts = _parse_texts(given, what, ("certificate", "key"))
    if "certificate" not in texts:
        raise SettingError(f"{what!r} needs 'certificate', the path of a PEM file")
    return ServerTls(**texts)


def _parse_upstream_tls(given: object) -> ClientTls:
    if given is True:
        return ClientTls()
    words = ("ca", "server_name", "certificate", "key")
    others = (
        {name: value for name, value in given.items() if name != "verify"}
        if isinstance(given, dict)
        else given
    )
    texts = _parse_texts(others, "upstream_tls", words)
    verify = given.get("verify", True) if isinstance(given, dict) else True
    if not isinstance(verify, bool):
        raise SettingError(f"'verify' of 'upstream_tls' is {verify!r}; give true or false")
    return ClientTls(verify=verify, **texts)


def _parse_texts(given: object, what: str, words: tuple[str, ...]) -> dict[str, str]:
    if not isinstance(given, dict):
        raise SettingError(f"{what!r} must be an object with {', '.join(words)}; not {given!r}")
    _refuse_unknown(given, words, repr(what))
    for name, value in given.items():
        if not isinstance(value, str) or not value:
            raise SettingError(f"{name!r} of {what!r} is {value!r}; give text")
    return given


def _refuse_unknown(given: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for name in given:
        if name not in known:
            raise SettingError(f"unknown key {name!r} in {where}; choose from {', '.join(known)}")
