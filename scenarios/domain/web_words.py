"""The words `auth` and `tls` of steps, and of services that give them to their steps.

Credentials are references to secrets, so that no document, ledger or table has them; certificates are files
of CERTIFICATE_DIR, which the site names.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
)

from scenarios.domain.declarations import ABSENT, Declaration, choose_member, use_any_of
from scenarios.domain.templates import SECRET_PATTERN, find_secrets, is_secret
from scenarios.domain.value_messages import phrase_message, phrase_unknown

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def _check_file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not the name of a file in CERTIFICATE_DIR, such as 'shop-ca.pem'")
    return text


FileName = Annotated[str, AfterValidator(_check_file_name)]
# What a document has; when the step runs, it is the secret itself.
SecretReference = Annotated[
    str, Field(min_length=1), WithJsonSchema({"type": "string", "pattern": SECRET_PATTERN})
]


def _check_user(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} contains a control character: a user is one printable line")
    return text


class BasicAuth(Declaration):
    """A user and a password."""

    user: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_user)]
    password: SecretReference

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        # https://www.rfc-editor.org/rfc/rfc7617#section-2
        if isinstance(user := values.get("user"), str) and ":" in user and "${" not in user:
            yield "user", f"{user[:80]!r} contains ':', which would end the user's name"


class Auth(Declaration):
    """Credentials: either a user and a password, or a bearer token. A password and a token must be secrets,
    `${secret:NAME}`. They are sent only to the first host, not to one that it redirects to.
    """

    basic: BasicAuth = Field(ABSENT)
    bearer: SecretReference = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values or {"basic", "bearer"} <= values.keys():
            yield "", "'auth' takes either 'basic' or 'bearer'"


class Tls(Declaration):
    """`ca` and `certificate` are names of PEM files in CERTIFICATE_DIR: the authorities to trust instead of
    the system's, and a client certificate with its key. With `verify: false`, any certificate is accepted,
    even that of an impostor; the plan warns about it. None of this is used after a redirect to another host.
    """

    verify: bool = True
    ca: FileName = Field(ABSENT)
    certificate: FileName = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if values.get("verify") is False and "ca" in values:
            yield "ca", "'ca' and 'verify: false' cannot be combined: no certificate is compared with it"


TlsOrFlag = Annotated[
    Annotated[Tls, Tag("mapping")] | Annotated[bool, Tag("flag")],
    Field(discriminator=Discriminator(choose_member), json_schema_extra=use_any_of),
]


def find_credential_problems(values: Mapping[str, Any], address: str) -> Iterator[tuple[str, str]]:
    """Yield what contradicts `auth`, `tls` and `cookies` in a step, whose URL is under the key `address`."""
    headers = values.get("headers")
    named = {str(name).lower() for name in headers} if isinstance(headers, Mapping) else set()
    for word, header in (("auth", "Authorization"), ("cookies", "Cookie")):
        if word in values and header.lower() in named:
            yield word, f"{word!r} and the header {header!r} cannot be combined: choose one"
    url = values.get(address)
    if isinstance(url, str):
        if "auth" in values and "@" in url.partition("://")[2].partition("/")[0]:
            yield "auth", f"'auth' and a password in {address!r} cannot be combined: choose one"
        if "tls" in values and url.lower().startswith("http://"):
            yield "tls", f"'tls' has no effect here: {address!r} begins with 'http://'"


def find_invalid_words(word: str, value: Any, prefix: str) -> str:
    """What is wrong with `auth` or `tls` outside a document; "" if nothing is.

    The names of its secrets must begin with the prefix.
    """
    declarations: dict[str, type[Declaration]] = {"auth": Auth, "tls": Tls}
    try:
        declarations[word].model_validate(value)
    except ValidationError as error:
        # Without the values, which may be a password.
        found = error.errors(include_url=False, include_input=False)
        return "; ".join(_describe_error(word, declarations[word], detail) for detail in found)
    for path, text in _list_credentials(value):
        if not is_secret(text):
            hint = f"write '${{secret:{prefix}_NAME}}'"
            return f"{path!r} must be a reference to a secret, and nothing else: {hint}"
    for name in sorted(find_secrets(value)):
        if not name.startswith(prefix):
            return f"the name of the secret {name!r} must begin with {prefix!r}"
    return ""


def _describe_error(word: str, declaration: type[Declaration], detail: Any) -> str:
    where = ".".join(map(str, (word, *detail["loc"])))
    if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
        return f"{where}: {phrase_unknown(declaration.model_fields)}"
    return f"{where}: {phrase_message(detail['type'], detail['msg'])}"


def _list_credentials(auth: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "bearer" in auth:
        yield "auth.bearer", auth["bearer"]
    if "basic" in auth:
        yield "auth.basic.password", auth["basic"]["password"]
