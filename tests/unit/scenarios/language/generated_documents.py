"""Hypothesis strategies for documents with the shipped drivers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from scenarios.domain.results import ANY, TEXT, Kind, accepts_matcher, read_returned_fields
from scenarios.drivers import load_drivers
from scenarios.language.schema import json_schema

# A strategy shows itself whole where a test fails, and these are large.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")

DRIVERS: Mapping[str, type[BaseModel]] = {
    name: driver.Arguments
    for name, driver in load_drivers(
        f"scenarios.drivers.{path}"
        for path in (
            "chaostoolkit.ChaosToolkit",
            "command.Command",
            "http.Http",
            "prometheus.Prometheus",
            "signal.Signal",
            "tcp.Tcp",
            "wait.Wait",
        )
    ).items()
}
SITE = {
    "ALLOWED_COMMANDS": ("tc",),
    "ALLOWED_PIDFILE_DIRS": (Path("/run/exchange"),),
    "ALLOWED_CHAOSTOOLKIT_MODULES": ("chaosaws",),
}
SCHEMA = json_schema(DRIVERS)
JUDGE = Draft202012Validator(SCHEMA)

# What a document can be made of


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text("abcx-", min_size=1, max_size=3), values, max_size=2)


NAMES = st.text("abcdefghij -", min_size=1, max_size=8).filter(str.strip)
DURATIONS = st.sampled_from(["500ms", "2s", "1.5s", "1h30m", "1d"])
TEXTS = st.text(max_size=6) | st.sampled_from(["${v}", "${secret:KEY}", "$${v}"])
NUMBERS = st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | objects(inner), max_leaves=4)


def words(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping; trailing underscores of names are left out (`in_` is `in`)."""
    return st.fixed_dictionaries(
        {name.rstrip("_"): value for name, value in required.items()},
        optional={name.rstrip("_"): value for name, value in optional.items()},
    )


SIGNALS = st.sampled_from(["STOP", "CONT", "TERM", "KILL", "HUP", "USR1", "USR2", "INT"])
PORTS = st.integers(1, 65535) | st.just("${v}") | st.just(80.0)
STEPS = st.one_of(
    words({"wait": words({"duration": DURATIONS})}),
    words(
        {
            "http": words(
                {"service": NAMES},
                path=st.just("/a"),
                method=st.sampled_from(["GET", "post"]),
                query=objects(TEXTS | NUMBERS | st.lists(NUMBERS, max_size=2)),
                headers=st.dictionaries(st.just("X-A"), NUMBERS | st.just("b"), max_size=1),
                json=JSON,
                timeout=DURATIONS,
                follow_redirects=st.booleans(),
                tls=st.sampled_from([{"verify": False}, {"ca": "a.pem", "certificate": "${v}"}]),
                cookies=st.just("keep"),
            )
        }
    ),
    words({"http": words({"url": st.sampled_from(["http://127.0.0.1:8081/a", "${v}"])}, body=TEXTS)}),
    words({"tcp": words({"host": NAMES, "port": PORTS}, timeout=DURATIONS)}),
    words({"tcp": words({"service": NAMES})}),
    words({"prometheus": words({"query": NAMES}, server=st.just("http://127.0.0.1:9090"))}),
    words(
        {
            "command": words(
                {"run": st.lists(TEXTS, max_size=2).map(lambda more: ["tc", *more])},
                cwd=st.just("/"),
                env=st.dictionaries(st.just("A"), NUMBERS | TEXTS, max_size=1),
                stdin=TEXTS,
                timeout=DURATIONS,
            )
        }
    ),
    words({"signal": words({"pidfile": st.just("/run/exchange/a.pid"), "signal": SIGNALS})}),
    words({"signal": words({"port": PORTS, "signal": SIGNALS})}),
    words({"signal": words({"pid": st.integers(2, 99), "signal": SIGNALS})}),
    words(
        {
            "chaostoolkit": words(
                {"module": st.just("chaosaws.ec2"), "func": st.just("stop")},
                arguments=objects(JSON),
                configuration=objects(JSON),
                secrets=objects(TEXTS),
            )
        }
    ),
)
# What may be expected of each driver's fields, by the kinds that it declares

JSON_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**40), 2**40) | st.just(200.0),
    "number": NUMBERS,
    "string": TEXTS,
    "boolean": st.booleans(),
    "array": st.lists(JSON, max_size=2),
    "object": objects(JSON),
}


def equal_to(kind: Kind) -> st.SearchStrategy[Any]:
    return st.one_of([JSON_TYPES[type_name] for type_name in sorted(kind.types)]) if kind.types else JSON


def matchers(kind: Kind, depth: int = 2) -> st.SearchStrategy[Any]:
    """Values of the kind, and matchers that some of them meet."""
    own = equal_to(kind)
    plain = own.filter(lambda value: not isinstance(value, dict))
    inner = matchers(kind.item_kind, depth - 1) if depth else st.just(1) if kind == ANY else plain
    number: st.SearchStrategy[Any]
    number, several = st.just({"at_least": 1}) | st.integers(0, 3), st.lists(own, min_size=1, max_size=2)
    part = JSON if kind.may_be("array") else TEXTS
    comparing = dict.fromkeys(("above", "at_least", "below", "at_most"), NUMBERS)
    known = {"equals": own, "not": own, "in": several, "not_in": several, "exists": st.booleans()}
    known |= comparing | {"between": st.just([1, 2.5]), "matches": st.just("^a+$"), "contains": part}
    known |= {"all": inner, "any": inner, "count": number}
    fitting = {name: values for name, values in known.items() if accepts_matcher(name, kind)}
    pairs = [st.fixed_dictionaries({name: values}) for name, values in fitting.items()]
    read = st.fixed_dictionaries({"as": st.just("number")}, optional={"below": NUMBERS, "equals": NUMBERS})
    together = st.fixed_dictionaries({}, optional=fitting).filter(bool)
    return st.one_of(plain, *pairs, together, *([read] if kind.may_be("string") else []))


def find_expected(driver: str) -> st.SearchStrategy[dict[str, Any]]:
    returned = read_returned_fields(DRIVERS[driver])
    assert returned is not None
    free = matchers(ANY)
    fields = {name: matchers(field.kind) for name, field in returned.items()}
    if "json" in fields:
        fields["json"] = st.dictionaries(
            st.sampled_from(["$", "$.a", "$.b[0]"]), free, min_size=1, max_size=2
        )
    if "headers" in fields:
        fields["headers"] = st.dictionaries(NAMES, matchers(TEXT), min_size=1, max_size=2)
    expectation = st.fixed_dictionaries({}, optional=fields).filter(bool)
    return expectation | st.lists(expectation, min_size=1, max_size=2).map(
        lambda several: {"any_of": several}
    )


@st.composite
def looks(draw: st.DrawFn) -> dict[str, Any]:
    """A probe, and what may be expected of it."""
    step = draw(STEPS)
    (driver,) = step
    expect = draw(find_expected(driver))
    if draw(st.booleans()):
        step["sensitive"] = draw(st.booleans())
    return {"name": draw(NAMES), "probe": step, "expect": expect}


def checks(**optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda look, more: look | more, looks(), words({}, **optional))


FAULTS = words(
    {"name": NAMES, "do": STEPS},
    undo=STEPS,
    at=DURATIONS,
    until=st.sampled_from(["phase", "run"]),
    timeout=DURATIONS,
    when=st.booleans() | st.just("${v}"),
    save=st.just({"v": "${v}"}),
    each=st.sampled_from([{"w": "${v}"}, {"w": ["a", 2]}, {"x": [0.5]}]),
    retry=words({"times": st.integers(1, 9) | st.just("${v}") | st.just(2.0)}, every=DURATIONS),
)
SHARES = st.sampled_from([0.5, 1, "99.9%", "100%"]).map(lambda share: {"success": share})
CHECKS = checks(every=DURATIONS, timeout=DURATIONS) | checks(throughout=st.booleans() | SHARES)
CHECKS |= checks(save=st.just({"v": "${v}"}))
CHECKS |= checks(within=DURATIONS).map(lambda check: check | ({"for": "2s"} if "within" in check else {}))
GUARDS = checks(every=DURATIONS, tolerate=st.integers(0, 5) | st.just(2.0), timeout=DURATIONS)
VARIABLES = st.one_of(
    words({"type": st.just("string")}, default=st.just("a"), description=TEXTS, choices=st.just(["a", "b"])),
    words({"type": st.just("integer")}, default=st.just(3), min=st.just(1), max=st.just(5)),
    words({"type": st.just("number")}, default=st.just(3.5), min=st.just(1)),
    words({"type": st.just("boolean")}, default=st.booleans()),
    words({"type": st.just("duration")}, default=DURATIONS),
    words({"type": st.just("list")}, default=st.lists(st.text("ab") | st.integers(0, 9), max_size=2)),
)


def several(entries: st.SearchStrategy[dict[str, Any]], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(entries, min_size=least, max_size=2, unique_by=lambda entry: entry["name"])


PHASES = words(
    {"name": NAMES},
    description=TEXTS,
    hold=DURATIONS,
    when=st.booleans() | st.just("${v}"),
    actions=several(FAULTS),
    validations=several(CHECKS),
    on_failure=st.sampled_from(["recover", "stop", "continue"]),
)
DOCUMENTS = words(
    {
        "apiVersion": st.just("coordinator/v1"),
        "kind": st.just("Scenario"),
        "metadata": words(
            {"name": st.just("generated")}, title=NAMES, description=TEXTS, tags=st.lists(NAMES, max_size=2)
        ),
        "spec": words(
            {
                "phases": several(PHASES, 1)
                | st.just([{"include": {"scenario": "other", "variables": {"v": 3}}}])
            },
            timeout=DURATIONS,
            retry_interrupted=st.integers(0, 3),
            regression=st.sampled_from(["1.5x", "2x", "0.5x"]).map(
                lambda multiple: {"expect": {"time_to_recover": {"at_most": multiple}}}
            ),
            variables=st.dictionaries(st.sampled_from(["v", "w"]), VARIABLES, max_size=2),
            guards=several(GUARDS),
        ),
    }
)
