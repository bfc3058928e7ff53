"""Rules between a document's loads, its phases and the validations that judge loads.

The values come straight from the document: they may have any type, or be templates. What cannot be read is
skipped, because its own declaration refuses it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scenarios.domain.declarations import BrokenRule
from scenarios.domain.durations import format_duration
from scenarios.domain.load_values import MULTIPLE_PATTERN
from scenarios.domain.plan import MAX_REQUESTS, MIN_SAMPLES, WINDOW_SECONDS
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import is_templated
from scenarios.language.load_words import read_rate
from scenarios.language.timing import list_mappings, measure_phase, read_seconds

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A validation of a load; `phase` counts the phases, and `path` leads to the validation."""

    phase: int
    path: Path
    words: Mapping[str, Any]

    @property
    def limits(self) -> Iterator[tuple[str, str, Any]]:
        """Figure, matcher and value."""
        expect = self.words.get("expect")
        for figure, matchers in expect.items() if isinstance(expect, dict) else ():
            for matcher, value in matchers.items() if isinstance(matchers, dict) else ():
                yield figure, matcher, value


def find_load_problems(spec: Mapping[str, Any]) -> Iterator[BrokenRule]:
    loads = {load.get("name"): load for load in list_mappings(spec.get("load")) if load is not None}
    phases = list(list_mappings(spec.get("phases")))
    judged = list(_list_judged(phases))
    yield from _find_unknown_loads(judged, loads)
    yield from _find_missing_baseline(judged, phases)
    yield from _find_few_samples(judged, phases, loads)
    yield from _find_too_many_requests(spec, phases)


def _list_judged(phases: list[Mapping[str, Any] | None]) -> Iterator[_Judged]:
    for index, phase in enumerate(phases):
        for number, words in enumerate(list_mappings((phase or {}).get("validations"))):
            if words is not None and "load" in words:
                yield _Judged(index, ("phases", index, "validations", number), words)


def _find_unknown_loads(judged: list[_Judged], loads: Mapping[Any, Any]) -> Iterator[BrokenRule]:
    for validation in judged:
        name = validation.words["load"]
        if isinstance(name, str) and "${" not in name and not _is_known(name, loads):
            known = [str(load) for load in loads]
            rule = f"unknown load {name[:80]!r}; 'spec.load' has {', '.join(known) or 'none'}"
            yield BrokenRule((*validation.path, "load"), rule, suggest(name, known))


def _is_known(name: str, loads: Mapping[Any, Any]) -> bool:
    """Whether a load has the name, or becomes several with such names."""
    return name in loads or any(
        "each" in load and name.startswith(f"{known} [") for known, load in loads.items()
    )


def _find_baseline(phases: list[Mapping[str, Any] | None]) -> int:
    """How many phases stand before the first one with actions; 0 if none has any."""
    return next((index for index, phase in enumerate(phases) if phase and phase.get("actions")), 0)


def _find_missing_baseline(
    judged: list[_Judged], phases: list[Mapping[str, Any] | None]
) -> Iterator[BrokenRule]:
    before = _find_baseline(phases)
    for validation in judged:
        for figure, matcher, value in validation.limits:
            if not _is_multiple(value) or validation.phase >= before > 0:
                continue
            path = (*validation.path, "expect", figure, matcher)
            if before:
                rule = f"{value!r} compares with the baseline, which this phase is a part of"
                yield BrokenRule(path, rule, "write the limit itself")
            else:
                rule = f"{value!r} compares with the phases before the first action, and there is none"
                yield BrokenRule(path, rule, "begin with a phase without actions that has a 'hold'")


def _is_multiple(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(MULTIPLE_PATTERN[-2])


def _find_few_samples(
    judged: list[_Judged], phases: list[Mapping[str, Any] | None], loads: Mapping[Any, Any]
) -> Iterator[BrokenRule]:
    before = _find_baseline(phases)
    lengths = [_measure_known(phase) for phase in phases]
    for validation in judged:
        named = validation.words.get("load")
        rate = read_rate(loads[named].get("rate")) if isinstance(named, str) and named in loads else None
        if rate is None:
            continue
        where = (
            ("a window", WINDOW_SECONDS)
            if "within" in validation.words
            else ("the phase", lengths[validation.phase])
        )
        for figure, matcher, value in validation.limits:
            path = (*validation.path, "expect", figure)
            yield from _find_too_few(path, figure, rate, *where)
            if _is_multiple(value) and before:
                known = [length for length in lengths[:before] if length is not None]
                baseline = sum(known) if len(known) == before else None
                yield from _find_too_few((*path, matcher), figure, rate, "the baseline", baseline)


def _measure_known(phase: Mapping[str, Any] | None) -> float | None:
    """None while a variable decides how long the phase is held."""
    if phase is None:
        return 0.0
    return None if is_templated(phase.get("hold")) else measure_phase(phase)


def _find_too_few(
    path: Path, figure: str, rate: float, where: str, seconds: float | None
) -> Iterator[BrokenRule]:
    if seconds is None:
        return
    needed, found = MIN_SAMPLES.get(figure, 1), round(rate * seconds)
    if found < needed:
        rule = (
            f"{figure!r} needs at least {needed} requests, and {where} of {format_duration(seconds)} at "
            f"{rate:g}/s has {found}"
        )
        longer = "a higher 'rate'" if where == "a window" else "a longer 'hold' or a higher 'rate'"
        yield BrokenRule(path, rule, f"choose {longer}")


def _find_too_many_requests(
    spec: Mapping[str, Any], phases: list[Mapping[str, Any] | None]
) -> Iterator[BrokenRule]:
    """Checks the minimum time of the phases; more is limited while the run goes on."""
    seconds = sum(read_seconds(phase.get("hold")) or 0.0 for phase in phases if phase)
    sent = 0.0
    for index, load in enumerate(list_mappings(spec.get("load"))):
        before = sent
        sent += (read_rate((load or {}).get("rate")) or 0.0) * seconds
        if sent > MAX_REQUESTS >= before:
            rule = (
                f"the loads up to here send {round(sent):,} requests in {format_duration(seconds)}; a run "
                f"sends at most {MAX_REQUESTS:,}"
            )
            yield BrokenRule(("load", index, "rate"), rule, "choose a lower 'rate' or a shorter 'hold'")
