"""Saved values: what `save` selects from an answer, and `${saved.NAME}` in the steps that use it.

A reference stays in the plan until its value is known. What comes from an answer is never read as a
reference, because it is escaped when it is inserted.
"""

import re
from collections.abc import Mapping
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.domain.json_queries import Budget, compile_query
from scenarios.domain.late_references import (
    LateReference,
    Part,
    map_texts,
    mentions_saved,
    read_parts,
    write_parts,
)
from scenarios.domain.outputs import dump_json, make_storable
from scenarios.domain.templates import escape_references, format_scalar

# Of one saved value, as JSON.
MAX_SAVED_CHARACTERS = 10_000
# Inserted into one step: a text may refer to a value thousands of times.
MAX_INSERTED_CHARACTERS = 256 * 1024
_MISSING = object()


def select_saved(
    save: Mapping[str, str], fields: Mapping[str, Any], budget: Budget
) -> tuple[dict[str, Any], list[str]]:
    """The values that `save` selects from what a step returned, and a sentence for each that is missing.

    Raises:
        QueryTooLargeError: the returned value is too large for its JSONPaths.
    """
    values: dict[str, Any] = {}
    missing: list[str] = []
    for name, source in save.items():
        value = _select(source, fields, budget)
        if reason := _explain_unusable(value, source, fields):
            missing.append(f"{name!r} cannot be saved: {reason}")
        else:
            values[name] = value
    return values, missing


def _select(source: str, fields: Mapping[str, Any], budget: Budget) -> Any:
    if not source.startswith("$"):
        return fields.get(source, _MISSING)
    if "json" not in fields:
        return _MISSING
    query = compile_query(source)
    found = query.values(fields["json"], budget)
    if not query.is_singular:
        return found
    return found[0] if found else _MISSING


def _explain_unusable(value: Any, source: str, fields: Mapping[str, Any]) -> str:
    if value is _MISSING:
        if not source.startswith("$"):
            return f"there is no {source!r} in the answer"
        return f"{source!r} selects nothing" if "json" in fields else "the answer is not JSON"
    if not _is_storable(value):
        return f"what {source!r} selects has a NUL, is nested too deeply, or cannot be stored otherwise"
    length = len(dump_json(value, ensure_ascii=False))
    if length > MAX_SAVED_CHARACTERS:
        return f"what {source!r} selects has {length:,} characters; the limit is {MAX_SAVED_CHARACTERS:,}"
    return ""


def _is_storable(value: Any) -> bool:
    try:
        return bool(make_storable(value) == value)
    except RecursionError:
        return False


def find_saved(value: Any) -> set[str]:
    """The names of all saved values that a value of a plan refers to."""
    names: set[str] = set()

    def note(text: str) -> str:
        names.update(
            part.name for part in read_parts(text) if isinstance(part, LateReference) and not part.is_secret
        )
        return text

    map_texts(value, note)
    return names


def insert_saved(value: Any, saved: Mapping[str, Any]) -> Any:
    """The value of a plan with these saved values in it; other references stay.

    Raises:
        StepImpossible: a value cannot be put where it is used, or they are too long together.
    """
    room = MAX_INSERTED_CHARACTERS

    def find_value(name: str) -> Any:
        nonlocal room
        found = saved[name]
        room -= len(found) if isinstance(found, str) else len(dump_json(found))
        if room < 0:
            rule = f"more than {MAX_INSERTED_CHARACTERS:,} characters of saved values would be in one step"
            raise StepImpossible(f"'${{saved.{name}}}' is too long: {rule}")
        return found

    def fill_in(text: str) -> Any:
        parts = [part for part in read_parts(text) if part != ""]
        known = [_find_known(part, saved) for part in parts]
        if len(known) == 1 and known[0] is not None:
            return _escape(find_value(known[0]))
        return write_parts(
            [
                part if name is None else _format(name, find_value(name))
                for part, name in zip(parts, known, strict=True)
            ]
        )

    return map_texts(value, fill_in) if mentions_saved(value) else value


def _find_known(part: Part, saved: Mapping[str, Any]) -> str | None:
    """The name of the saved value that the part refers to; None if it is something else, or not known."""
    is_saved = isinstance(part, LateReference) and not part.is_secret
    return part.name if isinstance(part, LateReference) and is_saved and part.name in saved else None


def _format(name: str, value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        kind = "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "null"
        rule = "only text, numbers and booleans can be a part of a text"
        raise StepImpossible(f"'${{saved.{name}}}' is {kind}: {rule}")
    return format_scalar(value)


def _escape(value: Any) -> Any:
    return map_texts(value, escape_references)


def unescape_saved(value: Any) -> Any:
    """Undo the escaping of what only looks like a reference to a saved value; references stay."""
    return map_texts(value, _unescape) if mentions_saved(value) else value


# Secrets are left to `insert_secrets`.
_LOOKS_LIKE_SAVED = re.compile(r"\$+(?=\{saved\.)")


def _unescape(text: str) -> str:
    return _LOOKS_LIKE_SAVED.sub(lambda dollars: "$" * max(1, len(dollars[0]) // 2), text)


def hide_secrets(value: Any, secrets: Mapping[str, str]) -> Any:
    """The value of a plan, in which these secrets are references again; `secrets` has the name of each."""
    if not secrets:
        return value
    known = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))))

    def hide_in_part(part: Part) -> list[Part]:
        if not isinstance(part, str):
            return [part]
        found: list[Part] = [LateReference(secrets[text], is_secret=True) for text in known.findall(part)]
        plain = known.split(part)
        return [piece for pair in zip(plain, [*found, ""], strict=True) for piece in pair]

    def hide(inner: Any) -> Any:
        if isinstance(inner, str):
            return write_parts([piece for part in read_parts(inner) for piece in hide_in_part(part)])
        if isinstance(inner, Mapping):
            return {key: hide(part) for key, part in inner.items()}
        return [hide(part) for part in inner] if isinstance(inner, list) else inner

    return hide(value)
