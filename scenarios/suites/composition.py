"""Makes the document of one cell: a scenario of the catalogue, with the suite's own look at the service.

The scenario says how the dependency is broken, and how to see that the fault affects something. The suite
says what users notice: its `healthy` replaces every validation that asks the service, and its `load` runs
beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from scenarios.domain.durations import format_duration
from scenarios.domain.plan import WINDOW_SECONDS
from scenarios.domain.templates import find_variables
from scenarios.language.yaml_tree import read_tree
from scenarios.suites.cell_variables import Words, list_asking, list_others
from scenarios.suites.documents import SuiteDocument
from scenarios.suites.faults import UNDER_LOAD, SuiteFault
from scenarios.suites.obstacles import find_port
from scenarios.suites.words import LOOK_SECONDS, LOOK_TIMEOUT_SECONDS, Dependency

# The names of the validations that decide between `survived` and `degraded`.
MUST_SURVIVE = "users notice nothing"
MAY_FAIL = "what users notice"
LOAD_NAME = "users"
LOAD_SUCCEEDS = "the requests of users succeed"
LOAD_RECOVERS = "the requests of users succeed again"
DEFAULT_LIMITS: Mapping[str, Any] = {"error_rate": {"at_most": "0.1%"}}
# A validation that may fail passes if any look holds: those before the fault do.
_ANY_LOOK = "0.01%"
_BEFORE_FAULT_SECONDS = 1.0
# For further phases with faults, because the first one has shown what a long fault does.
_SHORT_HOLD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CellDocument:
    """The document of a run and its variables. `fault_phases` are the names of the phases with faults."""

    source: str
    variables: Mapping[str, Any]
    fault_phases: tuple[str, ...]


def compose_cell(
    suite: SuiteDocument, dependency: Dependency, fault: SuiteFault, scenario: str, url: str
) -> CellDocument:
    """The document for a dependency and a fault; `scenario` is the stored scenario's text, and `url` the
    dependency's address.

    Raises:
        InvalidDocument: the scenario cannot be read.
    """
    return _Composer(suite, dependency, fault).compose(read_tree(scenario).plain(), url)


class _Composer:
    def __init__(self, suite: SuiteDocument, dependency: Dependency, fault: SuiteFault) -> None:
        self._suite = suite
        self._dependency = dependency
        self._fault = fault
        self._may_fail = dependency.must == "fail"
        self._look = {
            "every": suite.healthy.get("every", format_duration(LOOK_SECONDS)),
            "timeout": suite.healthy.get("timeout", format_duration(LOOK_TIMEOUT_SECONDS)),
            "probe": suite.healthy["probe"],
            "expect": suite.healthy["expect"],
        }

    def compose(self, plain: Words, url: str) -> CellDocument:
        phases = list(self._build_phases(plain["spec"]["phases"]))
        used = find_variables(phases)
        declared = plain["spec"].get("variables", {})
        spec = {
            **{word: part for word, part in plain["spec"].items() if word not in {"load", "regression"}},
            "variables": {name: words for name, words in declared.items() if name in used},
            **self._build_load(),
            "phases": phases,
        }
        title = f"{self._suite.name}: {self._dependency.service}, {self._fault.title}"
        document = {**plain, "metadata": {**plain["metadata"], "title": title}, "spec": spec}
        return CellDocument(
            yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110),
            {name: value for name, value in self._list_values(url) if name in spec["variables"]},
            tuple(phase["name"] for phase in phases if phase.get("actions")),
        )

    def _list_values(self, url: str) -> Iterator[tuple[str, Any]]:
        yield from self._dependency.variables.items()
        yield "dependency", self._dependency.service
        for word in ("host", "unit", "folder"):
            if (value := getattr(self._dependency, word)) is not None:
                yield word, value
        if (port := find_port(self._dependency, url)) is not None:
            yield "port", port

    def _build_load(self) -> Words:
        if self._suite.load is None:
            return {}
        own = {word: part for word, part in self._suite.load.items() if word != "expect"}
        return {"load": [{"name": LOAD_NAME, **own}]}

    def _build_phases(self, phases: list[Words]) -> Iterator[Words]:
        faults = 0
        for phase in phases:
            if phase.get("actions"):
                faults += 1
                yield self._build_fault_phase(phase, is_first=faults == 1)
            elif faults:
                yield self._build_recovery(phase)
            else:
                yield self._build_baseline(phase)

    def _build_baseline(self, phase: Words) -> Words:
        """The service may first have to recover from the fault before."""
        within = format_duration(self._suite.spec.recover_within)
        asks = [{"name": v["name"], "within": within, **self._look} for v in list_asking(phase)]
        hold = {"hold": format_duration(self._suite.spec.hold)} if self._compares_with_baseline() else {}
        return {**phase, **hold, "validations": [*asks, *list_others(phase)]}

    def _compares_with_baseline(self) -> bool:
        matchers = self._find_limits().values() if self._suite.load is not None else ()
        return any(str(limit).endswith("x") for words in matchers for limit in words.values())

    def _build_fault_phase(self, phase: Words, *, is_first: bool) -> Words:
        hold = self._suite.spec.hold if is_first else _SHORT_HOLD_SECONDS
        before = _BEFORE_FAULT_SECONDS if self._may_fail else 0.0
        actions = phase["actions"]
        if self._may_fail:
            actions = [{**action, "at": format_duration(before)} for action in actions]
        success = _ANY_LOOK if self._may_fail else "100%"
        look = {"name": MAY_FAIL if self._may_fail else MUST_SURVIVE, "throughout": {"success": success}}
        validations = [{**look, **self._look}, *list_others(phase)]
        if self._suite.load is not None and not self._may_fail and is_first:
            validations.append(self._judge_load(LOAD_SUCCEEDS))
        return {
            **phase,
            "hold": format_duration(hold + before),
            "on_failure": "continue",
            "actions": actions,
            "validations": validations,
        }

    def _build_recovery(self, phase: Words) -> Words:
        within = self._suite.spec.recover_within
        validations = [
            {"name": v["name"], "within": format_duration(within), "for": v.get("for", "1s"), **self._look}
            for v in list_asking(phase)
        ]
        validations += list_others(phase)
        if self._fault.name == UNDER_LOAD:
            window = format_duration(max(within, WINDOW_SECONDS))
            validations.append({**self._judge_load(LOAD_RECOVERS), "within": window})
        return {**phase, "validations": validations}

    def _judge_load(self, name: str) -> Words:
        load = (self._suite.load or {}).get("name", LOAD_NAME)
        return {"name": name, "load": load, "expect": self._find_limits()}

    def _find_limits(self) -> Words:
        return dict((self._suite.load or {}).get("expect") or DEFAULT_LIMITS)
