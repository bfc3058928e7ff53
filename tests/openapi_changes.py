"""Finds changes between two descriptions of the API that break clients of the older one.

A request must still be accepted, and a response must still be what the client expects. Fields, words of open
lists (`x-extensible-enum`), parameters that are not required and operations may be added. What a parameter of
a path is called does not matter: no request has the name.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Schema = Mapping[str, Any]
METHODS = {"get", "put", "post", "patch", "delete"}
UPPER_LIMITS = ("maximum", "maxLength", "maxItems", "maxProperties")
LOWER_LIMITS = ("minimum", "minLength", "minItems", "minProperties")
ANY_TYPE = {"null", "boolean", "number", "string", "array", "object"}


@dataclass(frozen=True, slots=True)
class Change:
    """`place` is the operation or the component, and the field in it."""

    place: str
    words: str

    def __str__(self) -> str:
        return f"`{self.place}`: {self.words}"


@dataclass(frozen=True, slots=True)
class Side:
    """Where two schemas are compared: in a request or in a response, and at which place."""

    old: Schema
    new: Schema
    place: str
    is_request: bool
    seen: frozenset[str] = frozenset()

    def at(self, name: str) -> "Side":
        return replace(self, place=f"{self.place}.{name}")

    def change(self, words: str) -> Change:
        return Change(self.place, words)


def find_breaking_changes(old: Schema, new: Schema) -> list[Change]:
    """Each place once, although many operations share a component."""
    found = {str(change): change for change in _compare_paths(old, new)}
    return list(found.values())


def _compare_paths(old: Schema, new: Schema) -> Iterator[Change]:
    paths = {_hide_names(path): methods for path, methods in new["paths"].items()}
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            if method not in METHODS:
                continue
            place = f"{method.upper()} {path}"
            now = paths.get(_hide_names(path), {}).get(method)
            if now is None:
                yield Change(place, "removed")
            else:
                yield from _compare_operations(Side(old, new, place, is_request=True), operation, now)


def _hide_names(path: str) -> str:
    return re.sub(r"\{.*?\}", "{}", path)


def _compare_operations(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    if not old.get("security") and new.get("security"):
        yield side.change("needs a token now")
    yield from _compare_parameters(side, old, new)
    yield from _compare_bodies(side, old.get("requestBody"), new.get("requestBody"))
    for status, answer in old["responses"].items():
        if status >= "400":
            continue
        now = new["responses"].get(status)
        if now is None:
            yield side.change(f"no response {status} any more")
            continue
        answers = replace(side, is_request=False)
        yield from _compare_content(
            answers,
            _resolve(side.old, answer).get("content", {}),
            _resolve(side.new, now).get("content", {}),
        )


def _compare_parameters(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    before = _list_parameters(side.old, old)
    now = _list_parameters(side.new, new)
    for name, parameter in before.items():
        there = side.at(name)
        if name not in now:
            yield there.change("removed")
            continue
        yield from _compare(there, parameter["schema"], now[name]["schema"])
    for name, parameter in now.items():
        if parameter.get("required") and not before.get(name, {}).get("required"):
            yield side.at(name).change("required now")


def _list_parameters(document: Schema, operation: Schema) -> dict[str, Schema]:
    resolved = [_resolve(document, parameter) for parameter in operation["parameters"]]
    numbers = itertools.count(1)
    return {
        f"{{{next(numbers)}}}" if parameter["in"] == "path" else parameter["name"]: parameter
        for parameter in resolved
    }


def _compare_bodies(side: Side, old: Schema | None, new: Schema | None) -> Iterator[Change]:
    if new is not None and new.get("required") and not (old or {}).get("required"):
        yield side.change("a body is required now")
    if old is not None and new is None:
        yield side.change("takes no body any more")
    elif old is not None and new is not None:
        yield from _compare_content(side, old["content"], new["content"])


def _compare_content(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    for media_type, body in old.items():
        if media_type not in new:
            yield side.change(f"no {media_type} any more")
        else:
            yield from _compare(side, body["schema"], new[media_type]["schema"])


def _compare(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    if reference := _find_reference(old):
        if reference in side.seen:
            return
        side = replace(side, place=reference.rpartition("/")[2], seen=side.seen | {reference})
    yield from _compare_types(side, old, new)
    old, new = _flatten(side.old, old), _flatten(side.new, new)
    yield from _compare_formats(side, old, new)
    yield from _compare_words(side, old, new)
    if side.is_request:
        yield from _compare_limits(side, old, new)
    yield from _compare_parts(side, old, new)


def _compare_types(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    before, now = _find_types(side.old, old), _find_types(side.new, new)
    lost, added = before - now, now - before
    if side.is_request and lost:
        yield side.change(f"does not take {' or '.join(sorted(lost))} any more")
    if not side.is_request and added:
        yield side.change(f"may be {' or '.join(sorted(added))} now")


def _compare_formats(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    if old.get("format") != new.get("format"):
        yield side.change(f"has the format {new.get('format')!r} instead of {old.get('format')!r}")


def _find_types(document: Schema, schema: Schema) -> set[str]:
    schema = _resolve(document, schema)
    if parts := schema.get("anyOf", schema.get("oneOf")):
        return set().union(*(_find_types(document, part) for part in parts))
    named = schema.get("type")
    if named is None:
        return {"string"} if {"enum", "const", "x-extensible-enum"} & set(schema) else set(ANY_TYPE)
    return {named} if isinstance(named, str) else set(named)


def _compare_words(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    before, now = _list_words(old), _list_words(new)
    is_open = "x-extensible-enum" in old
    if before is None:
        if side.is_request and now is not None:
            yield side.change("takes only some words now")
        return
    if now is None:
        if not side.is_request and not is_open:
            yield side.change("may be any text now")
        return
    if lost := before - now:
        yield side.change(f"has no {', '.join(sorted(lost))} any more")
    if (added := now - before) and not side.is_request and not is_open:
        yield side.change(f"may be {', '.join(sorted(added))} now")


def _list_words(schema: Schema) -> set[str] | None:
    words = schema.get("enum", schema.get("x-extensible-enum"))
    if words is None and "const" in schema:
        words = [schema["const"]]
    return None if words is None else set(map(str, words))


def _compare_limits(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    for name in UPPER_LIMITS:
        if name in new and new[name] < old.get(name, float("inf")):
            yield side.change(f"{name} is {new[name]} now")
    for name in LOWER_LIMITS:
        if name in new and new[name] > old.get(name, float("-inf")):
            yield side.change(f"{name} is {new[name]} now")
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield side.change("has another pattern")


def _compare_parts(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    yield from _compare_fields(side, old, new)
    for name in ("items", "additionalProperties"):
        if isinstance(old.get(name), dict) and isinstance(new.get(name), dict):
            yield from _compare(side, old[name], new[name])
    before, now = _list_kinds(old), _list_kinds(new)
    if before and now:
        for one, other in zip(before, now, strict=False):
            yield from _compare(side, one, other)


def _list_kinds(schema: Schema) -> list[Schema]:
    parts = schema.get("anyOf", schema.get("oneOf", []))
    return [part for part in parts if part.get("type") != "null"]


def _find_reference(schema: Schema) -> str:
    """The component that the schema is, perhaps beside null."""
    parts = _list_kinds(schema)
    found: str = (parts[0] if len(parts) == 1 else schema).get("$ref", "")
    return found


def _flatten(document: Schema, schema: Schema) -> Schema:
    """The schema without its alternative null, which is compared as a type."""
    schema = _resolve(document, schema)
    parts = _list_kinds(schema)
    if len(parts) != 1:
        return schema
    own = {name: value for name, value in schema.items() if name not in {"anyOf", "oneOf"}}
    return {**own, **_resolve(document, parts[0])}


def _compare_fields(side: Side, old: Schema, new: Schema) -> Iterator[Change]:
    before, now = old.get("properties", {}), new.get("properties", {})
    required_before, required_now = set(old.get("required", [])), set(new.get("required", []))
    for name, field in before.items():
        if name not in now:
            yield side.at(name).change("removed")
        else:
            yield from _compare(side.at(name), field, now[name])
    if side.is_request:
        for name in sorted(required_now - required_before):
            yield side.at(name).change("required now")
    else:
        for name in sorted((required_before - required_now) & set(now)):
            yield side.at(name).change("may be missing now")


def _resolve(document: Schema, part: Schema) -> Schema:
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].split("/")[1:]:
            found = found[name]
        part = found
    return part
