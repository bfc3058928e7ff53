"""Secrets are redacted everywhere and in every encoding."""

import base64
import html
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scenarios.domain.expectations import format_value
from scenarios.domain.redaction import MASK, Redactor

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENCODERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "URL-encoded": quote,
    "URL-encoded, slashes too": lambda text: quote(text, safe=""),
    "URL-encoded, in a form": quote_plus,
    "URL-encoded, in small letters": lambda text: lowered(quote(text, safe="")),
    "JSON-escaped": lambda text: json.dumps(text)[1:-1],
    "JSON-escaped, with letters of all scripts": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON-escaped twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "JSON-escaped, slashes too": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "HTML-escaped": html.escape,
    "HTML-escaped, but for quotes": lambda text: html.escape(text, quote=False),
    "HTML-escaped, by numbers": lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    "quoted as Python does": lambda text: repr(text)[1:-1],
    "URL-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "URL-encoded, each byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "in capitals": lambda text: "".join(
        character.upper() if character.isascii() else character for character in text
    ),
    "in hexadecimal digits": lambda text: text.encode().hex(),
    "in capital hexadecimal digits": lambda text: text.encode().hex().upper(),
    "in hexadecimal digits, byte by byte": lambda text: text.encode().hex(" "),
    "in Python's bytes": lambda text: "".join(rf"\x{byte:02x}" for byte in text.encode()),
    "in octal escapes": lambda text: "".join(rf"\{byte:03o}" for byte in text.encode()),
    "in numbers": lambda text: str([*text.encode()]),
    "in JSON escapes of each": lambda text: "".join(
        rf"\u{ord(character):04x}" for character in text if ord(character) < 2**16
    ),
    "in references of HTML": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "backwards": lambda text: text[::-1],
    "base64 of base64": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of hexadecimal digits": lambda text: base64.b64encode(text.encode().hex().encode()).decode(),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "hexadecimal digits of UTF-16": lambda text: text.encode("utf-16-be").hex(),
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "hexadecimal digits of base64": lambda text: base64.b64encode(text.encode()).hex(),
}


def lowered(encoded: str) -> str:
    parts = encoded.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def knowing(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.learn(secret)
    return redactor


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_secret_is_redacted_in_every_encoding(
    encode: Callable[[str], str], secret: str, before: str, after: str
) -> None:
    assume(len(secret) > 4 or encode is not ENCODERS["backwards"])
    if encode is ENCODERS["in JSON escapes of each"]:
        assume(max(map(ord, secret)) < 2**16)
    written = encode(secret)
    assume(written not in before + after and written not in MASK)
    kept = knowing(secret).redact(f"{before}{written}{after}")
    assert MASK in kept
    # The surrounding text may form the secret again, together with the mask.
    assert written not in kept.replace(MASK, "\0")


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("lines", [0, 76, 5])
@settings(deadline=None, max_examples=20)
@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_secret_is_redacted_in_base64_at_all_three_alignments(
    alphabet: Callable[[bytes], bytes], lines: int, secret: str, before: bytes, after: bytes
) -> None:
    whole = alphabet(before + secret.encode() + after).decode()
    if lines:
        whole = "\n".join(whole[start : start + lines] for start in range(0, len(whole), lines))
    kept = knowing(secret).redact(whole)
    assert MASK in kept
    left = "".join(kept.replace(MASK, "").split())
    assert len(left) <= 4 * ((len(before) + len(after)) // 3 + 2)


@pytest.mark.parametrize("credentials", ["user", "us", "u"])
def test_password_is_redacted_in_a_basic_authentication_header(credentials: str) -> None:
    header = base64.b64encode(f"{credentials}:correct horse battery".encode()).decode()
    kept = knowing("correct horse battery").redact(f"Authorization: Basic {header}")
    assert kept.startswith("Authorization: Basic ")
    assert MASK in kept
    assert len(kept) < len("Authorization: Basic ") + 12


@settings(deadline=None, max_examples=20)
@given(secret=st.text("abcdefgh0123-", min_size=12, max_size=60), before=st.text(max_size=130))
def test_truncated_secret_is_redacted(secret: str, before: str) -> None:
    assume(secret[:6] not in before)
    cut = format_value(f"{before}{secret}{'.' * 200}")
    left = knowing(secret).redact(cut)
    assert secret[:6] not in left


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"abcd"])
def test_secret_is_redacted_in_base32_at_all_five_alignments(before: bytes) -> None:
    for encoded in (base64.b32encode(before + b"correct horse battery"),):
        for written in (encoded.decode(), encoded.decode().lower()):
            kept = knowing("correct horse battery").redact(f"x {written} y")
            assert MASK in kept
            assert len(kept) < 25


@pytest.mark.parametrize(
    "spelt",
    [
        lambda data: [*data],
        lambda data: [byte - 256 if byte > 127 else byte for byte in data],
        lambda data: [f"{byte:02x}" for byte in data],
        lambda data: [hex(byte) for byte in data],
        lambda data: [*data.decode()],
    ],
)
def test_list_of_bytes_or_characters_is_redacted(spelt: Callable[[bytes], list[Any]]) -> None:
    kept = knowing("s3cr3t-\xfc-pw").redact(
        {"json": {"a": [spelt("s3cr3t-\xfc-pw".encode())], "b": [1, 2, 3, 4]}}
    )
    assert kept == {"json": {"a": [[MASK]], "b": [1, 2, 3, 4]}}


def test_long_secret_is_redacted_completely() -> None:
    secret = "".join(f"{index:03x}." for index in range(1_000))
    kept = knowing(secret).redact(f"a {secret} b {secret.upper()} c {secret.encode().hex()} d")
    assert not any(part in kept.lower() for part in ("010.", "100.", "3e7.", "3130302e"))


def test_numbers_keys_and_nested_values_are_redacted() -> None:
    seen: dict[str, Any] = {"a": [{"token-1234": 1234}, "x 1234 y"], "b": True, "c": 12.5, "d": None}
    assert knowing("1234").redact(seen) == {
        "a": [{"token-***": "***"}, "x *** y"],
        "b": True,
        "c": 12.5,
        "d": None,
    }


def test_values_nested_too_deeply_to_search_are_hidden() -> None:
    deep: Any = "hunter2"
    for _ in range(5_000):
        deep = [deep]
    kept = knowing("hunter2").redact({"status": 200, "json": deep})
    assert kept == {"status": 200, "json": "*** (nested too deeply to search for secrets)"}


def test_single_line_of_a_multiline_secret_is_redacted() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END KEY-----\n"
    assert "MIIE" not in knowing(key).redact("line 2: MIIEvQIBADANBgkqhkiG9w0")


def test_secret_that_contains_another_is_redacted_completely() -> None:
    assert knowing("pass", "password1").redact("it is password1!") == "it is ***!"


@settings(deadline=None)
@given(TEXTS)
def test_nothing_changes_without_secrets(text: str) -> None:
    value = {"a": [text]}
    assert Redactor().redact(value) is value


def test_text_without_the_secret_is_unchanged() -> None:
    text = "status 200, body 'correct answer', 17 orders at https://127.0.0.1:8081/orders?side=buy"
    assert knowing("correct horse", "https://hooks.example/T0/B1", "hunter2").redact(text) == text


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\\" * 1_000_000, "correc" * 160_000, "%25" * 300_000])
@pytest.mark.parametrize(
    "secret", ["correct horse battery staple", "\\" * 30, "%25%25%25%25", "a\n" * 1000, "x" * 2000]
)
def test_megabyte_is_searched_in_time(secret: str, text: str) -> None:
    redactor = knowing(secret)
    started = time.process_time()
    redactor.redact(text)
    assert time.process_time() - started < 10


def test_redaction_time_is_proportional_to_the_text_even_with_many_prefixes() -> None:
    secret = "hunter2-S3cret!Tok/en+9"

    def seconds(times: int) -> float:
        begun = time.process_time()
        assert secret[:20] not in knowing(secret).redact(f"{secret[:20]}." * times)
        return time.process_time() - begun

    seconds(100)
    assert seconds(40_000) < 40 * seconds(4_000)
