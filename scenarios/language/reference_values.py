"""The values that the language allows, in the words of its reference, with links to its sections."""

import json
from collections.abc import Mapping
from typing import Any

from scenarios.domain.durations import DURATION_PATTERN, format_duration
from scenarios.domain.load_values import MULTIPLE_PATTERN, PERCENT_PATTERN, RATE_PATTERN
from scenarios.domain.templates import SECRET_PATTERN

_NAMED_PATTERNS = {
    SECRET_PATTERN: "`${secret:NAME}`",
    DURATION_PATTERN: "duration",
    RATE_PATTERN: "requests per second, `50/s`",
    MULTIPLE_PATTERN: "a multiple, `1.5x`",
    PERCENT_PATTERN: "a share, `0.1%`",
}
SHOWN_AS = {
    "Metadata": "[`metadata`](#metadata)",
    "Spec": "[`spec`](#spec)",
    "Variable": "[a variable](#a-variable-specvariablesname)",
    "Guard": "[a guard](#a-guard-specguards)",
    "Load": "[a load](#a-load-specload)",
    "Phase": "[a phase](#a-phase-specphases)",
    "Action": "[an action](#an-action-specphasesactions)",
    "Validation": "[a validation](#a-validation-specphasesvalidations)",
    "Auth": "[`auth`](#auth-of-a-step)",
    "BasicAuth": "[`basic`](#basic-of-auth)",
    "Alternative": "[expectations](#expect) without `any_of`",
    "Expect": "[expectations](#expect)",
    "JsonPaths": "mapping of JSONPaths (RFC 9535) to a value or a matcher",
    "LatencyLimits": "[limits](#limits-of-p50-p95-p99-and-max)",
    "LoadExpect": "[limits](#expect-of-a-validation-of-a-load)",
    "Matchers": "a value or a matcher",
    "RateLimits": "[limits](#limits-of-rate)",
    "ShareLimits": "[limits](#limits-of-error_rate)",
    "Fault": "[a fault](#faults)",
    "Include": "[`include`](#include)",
    "Retry": "[`retry`](#retry-of-an-action)",
    "Step": "[a step](#drivers)",
    "Regression": "[`regression`](#specregression)",
    "RegressionExpect": "[figures](#expect-of-a-regression)",
    "RegressionLimit": "[a limit](#a-figure-of-a-regression)",
    "Tls": "[`tls`](#tls-of-a-step)",
    "Throughout": "`true`, or [a share](#throughout-of-a-validation)",
    "Undone": "[`undone`](#undone-of-an-action)",
}


def get_own(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the value itself, without the alternative of a template."""
    candidates = schema.get("anyOf", [schema])
    own: Mapping[str, Any] = candidates[-1] if get_name(candidates[-1]) == "Matchers" else candidates[0]
    return own


def get_name(schema: Mapping[str, Any]) -> str:
    """The name of the declaration that the schema refers to; "" if it refers to none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def describe_kind(schema: Mapping[str, Any]) -> str:
    """Such as "duration", or a link to the section of a declaration."""
    alternatives = schema.get("anyOf", ())
    owns = [get_own(kind) for kind in alternatives if "anyOf" in kind]
    if len(owns) > 1 and len(owns) == len(alternatives) and not any(map(get_name, owns)):
        return " or ".join(map(_describe_own_kind, owns))
    return _describe_own_kind(get_own(schema))


def _describe_own_kind(own: Mapping[str, Any]) -> str:
    if name := get_name(own):
        return SHOWN_AS.get(name, f"`{name.lower()}`")
    if "const" in own or "enum" in own:
        return ", ".join(f"`{_write_value(choice)}`" for choice in own.get("enum", [own.get("const")]))
    if own.get("pattern") in _NAMED_PATTERNS:
        return _NAMED_PATTERNS[own["pattern"]]
    if own.get("type") == "array":
        return f"list, each {describe_kind(own.get('items', {}))}"
    if own.get("type") == "object":
        extra = own.get("additionalProperties")
        return f"mapping of names to {describe_kind(extra)}" if isinstance(extra, dict) else "mapping"
    kinds = own.get("type", "any value")
    named = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return f"{named}{_describe_limits(own)}"


def _describe_limits(own: Mapping[str, Any]) -> str:
    low, high = own.get("minimum"), own.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if "maxLength" in own:
        return f", at most {own['maxLength']} characters"
    return f", `{own['pattern']}`" if "pattern" in own else ""


def describe_default(schema: Mapping[str, Any]) -> str:
    default = get_own(schema).get("default", schema.get("default"))
    if default is None or default == "":
        return ""
    if describe_kind(schema) == "duration":
        return f"`{format_duration(default)}`"
    return f"`{_write_value(default)}`"


def _write_value(value: Any) -> str:
    """As in YAML."""
    return str(value) if isinstance(value, str | float) else json.dumps(value)
