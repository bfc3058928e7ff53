"""What may be written of an environment's services and variables."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from scenarios.domain.declarations import ABSENT, Declaration, check_dns_label
from scenarios.domain.templates import VARIABLE_NAME
from scenarios.domain.value_messages import phrase_message, phrase_unknown
from scenarios.domain.web_words import Auth, Tls, find_invalid_words

MAX_SERVICES = 500
MAX_VALUES = 500
MAX_TEXT_LENGTH = 10_000
# Also the time since when it is protected, which is stored with the words.
_KEPT = "protected_since"


class EnvironmentService(Declaration):
    """Where a service is in an environment."""

    base_url: Annotated[str, Field(min_length=1, max_length=500)]
    protected: bool = False
    proxy: Annotated[str, Field(max_length=500)] = ""
    proxy_listener: Annotated[str, Field(max_length=300)] = ""
    proxy_secret: Annotated[str, Field(max_length=63)] = ""
    tls: Tls = Field(ABSENT)
    auth: Auth = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if values.get("proxy_listener") and not values.get("proxy"):
            yield "proxy_listener", "a listener needs the fault proxy that has it; add 'proxy'"


_SERVICES = TypeAdapter(
    Annotated[
        dict[Annotated[str, AfterValidator(check_dns_label)], EnvironmentService],
        Field(max_length=MAX_SERVICES),
    ]
)


def find_invalid_services(value: Any, prefix: str) -> str:
    """What is wrong with the services; "" if nothing is. Names of secrets must begin with the prefix."""
    if not isinstance(value, Mapping):
        return "'services' must be a mapping of names of services to their words"
    written = {
        name: {word: part for word, part in words.items() if word != _KEPT}
        if isinstance(words, Mapping)
        else words
        for name, words in value.items()
    }
    try:
        _SERVICES.validate_python(written, strict=True)
    except ValidationError as error:
        # Without the values, which may be a password.
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        is_unknown = first["type"] == "extra_forbidden"
        known = phrase_unknown(EnvironmentService.model_fields)
        sentence = known if is_unknown else phrase_message(first["type"], first["msg"])
        return f"{where or 'services'}: {sentence}"
    for name, words in written.items():
        for word in ("tls", "auth"):
            if word in words and (problem := find_invalid_words(word, words[word], prefix)):
                return f"{name}: {problem}"
    return ""


def find_invalid_values(value: Any) -> str:
    """What is wrong with the values of variables; "" if nothing is."""
    if not isinstance(value, Mapping):
        return "'variables' must be a mapping of names to values"
    if len(value) > MAX_VALUES:
        return f"'variables' has {len(value)} values: at most {MAX_VALUES} are allowed"
    for name, given in value.items():
        if not re.fullmatch(VARIABLE_NAME, str(name)):
            return f"{str(name)[:80]!r} is not the name of a variable: use letters, digits, '_' and '-'"
        items = given if isinstance(given, list) else [given]
        if not all(isinstance(item, str | int | float) for item in items):
            return f"{name!r} is not text, a number, true or false, or a list of them"
        if any(isinstance(item, str) and not _is_storable(item) for item in items):
            return f"{name!r} is too long, or contains a control character"
    return ""


def _is_storable(text: str) -> bool:
    return len(text) <= MAX_TEXT_LENGTH and text.replace("\n", "").replace("\t", "").isprintable()
