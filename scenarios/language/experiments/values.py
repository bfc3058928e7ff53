"""Translates an experiment's configuration and secrets, and the references to them."""

import re
from typing import Any

from scenarios.language.experiments.notes import Notes, get_fields, get_plain
from scenarios.language.yaml_nodes import Node

# As in Python's string.Template, which Chaos Toolkit uses.
_REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<braced>[^{}]*)\}|(?P<named>[A-Za-z_][A-Za-z0-9_]*))")
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}
_ENVIRONMENT_KINDS = {"int": "integer", "float": "number", "bool": "boolean"}
# The maximum length of the names of variables and secrets.
_MAX_NAME_LENGTH = 63


def make_name(name: str) -> str:
    """Turn a name into one that the language allows for variables and secrets."""
    cleaned = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_MAX_NAME_LENGTH]
    return cleaned if re.match(r"[A-Za-z_]", cleaned) else f"_{cleaned}"[:_MAX_NAME_LENGTH]


class Values:
    """`variables` is what `spec.variables` declares."""

    def __init__(self, experiment: Node, notes: Notes) -> None:
        self.variables: dict[str, dict[str, Any]] = {}
        self._inlined: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._sections: dict[str, dict[str, str]] = {}
        self._notes = notes
        configuration = experiment.value.get("configuration")
        for name, node in get_fields(configuration).items():
            self._declare(name, node, configuration.keys[name] if configuration else node)
        for section, keys in get_fields(experiment.value.get("secrets")).items():
            self._sections[section] = {
                key: self._secret(section, key, node) for key, node in get_fields(keys).items()
            }

    def _declare(self, name: str, node: Node, key: Node) -> None:
        value = get_plain(node)
        own = make_name(name)
        if type(value) in _KINDS:
            self._names[name] = own
            self.variables[own] = {"type": _KINDS[type(value)], "default": value}
        elif isinstance(value, dict) and value.get("type") == "env":
            self._names[name] = own
            self.variables[own] = _translate_environment(value)
        elif isinstance(value, dict) and "type" in value:
            self._names[name] = own
            self.variables[own] = {"type": "string"}
            self._notes.add(
                key,
                f"configuration {name!r} comes from {value['type']!r}, which is not supported",
                f"it becomes the variable {own!r}: set it when you start a run",
            )
        else:
            self._inlined[name] = value

    def _secret(self, section: str, key: str, node: Node) -> str:
        """Return the name of the secret. A value written in the experiment is not carried over."""
        value = get_plain(node)
        if isinstance(value, dict) and value.get("type") == "env":
            return make_name(str(value.get("key") or key))
        own = make_name(f"{section}_{key}")
        source = (
            repr(value["type"]) if isinstance(value, dict) and "type" in value else "the experiment itself"
        )
        self._notes.add(
            node, f"secret {key!r} of {section!r} comes from {source}", f"store it as the secret {own!r}"
        )
        return own

    def configuration(self) -> dict[str, Any]:
        """The whole configuration in the form that an extension's function receives."""
        return {name: f"${{{own}}}" for name, own in self._names.items()} | {
            name: self.filled(value) for name, value in self._inlined.items()
        }

    def secrets(self, sections: Any) -> dict[str, str]:
        """The secrets of these sections in the form that an extension's function receives."""
        names = sections if isinstance(sections, list) else []
        return {
            key: f"${{secret:{own}}}"
            for section in names
            for key, own in self._sections.get(str(section), {}).items()
        }

    def filled(self, value: Any) -> Any:
        """Translate the references in a value of the experiment."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {str(name).replace("${", "$${"): self.filled(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner) for inner in value]
        return value

    def _text(self, text: str) -> Any:
        alone = _REFERENCE.fullmatch(text)
        if alone and (alone["braced"] or alone["named"]) in self._inlined:
            return self._inlined[alone["braced"] or alone["named"]]
        parts, position = [], 0
        for found in _REFERENCE.finditer(text):
            parts += [text[position : found.start()].replace("${", "$${"), self._reference(found)]
            position = found.end()
        return "".join([*parts, text[position:].replace("${", "$${")])

    def _reference(self, found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name = found["braced"] or found["named"] or ""
        if name in self._names:
            return f"${{{self._names[name]}}}"
        for section in self._sections.values():
            if name in section:
                return f"${{secret:{section[name]}}}"
        return found[0].replace("${", "$${")


def _translate_environment(value: dict[str, Any]) -> dict[str, Any]:
    kind = _ENVIRONMENT_KINDS.get(str(value.get("env_var_type")), "string")
    default = value.get("default")
    about = {"description": f"Chaos Toolkit reads the environment variable {value.get('key')!r}."}
    if default is None:
        return {"type": kind, **about}
    if kind == "string" or type(default) not in _KINDS:
        return {"type": "string", "default": str(default), **about}
    return {"type": _KINDS[type(default)], "default": default, **about}
