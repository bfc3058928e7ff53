"""Finds contradicting times before a run: of steps and their limits, and of phases and the run's timeout.

The values come straight from the document: they may have any type, or be templates. Values that are not
durations are skipped, because their own declarations refuse them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.domain.declarations import BrokenRule
from scenarios.domain.durations import format_duration, parse_duration

ACTION_SECONDS = 30.0
PROBE_SECONDS = 10.0
RUN_SECONDS = 3600.0
# The argument with a step's maximum time, by driver; other drivers have `timeout`.
_TIME_WORDS = {"wait": "duration"}
Path = tuple[str | int, ...]


def read_seconds(value: Any) -> float | None:
    try:
        return parse_duration(value)
    except ValueError:
        return None


def read_own_time(step: Any) -> tuple[str, str, float] | None:
    """The driver, the argument and the seconds of a step's own time limit; None if it has none."""
    words = step.items() if isinstance(step, Mapping) else ()
    named = [(driver, arguments) for driver, arguments in words if driver != "sensitive"]
    if len(named) != 1:
        return None
    ((driver, arguments),) = named
    word = _TIME_WORDS.get(driver, "timeout")
    given = arguments.get(word) if isinstance(arguments, Mapping) else None
    taken = None if given is None else read_seconds(given)
    return None if taken is None else (driver, word, taken)


def choose_time_limit(step: Any, written: float | None, default: float) -> float:
    """The seconds after which a step is given up; its own time extends the default, not a written limit."""
    if written is not None:
        return written
    own = read_own_time(step)
    return default if own is None else max(default, own[2])


def find_cut_short_steps(
    given: Mapping[str, Any], steps: Sequence[tuple[str, ...]], owner: str
) -> Iterator[BrokenRule]:
    """Yield the steps, by their paths, whose own time is longer than the `timeout` around them."""
    limit = read_seconds(given["timeout"]) if "timeout" in given else None
    for path in steps if limit is not None else ():
        own = read_own_time(_follow(given, path))
        if own is not None and limit is not None and own[2] > limit:
            driver, word, taken = own
            yield BrokenRule(
                (*path, driver, word),
                f"{format_duration(taken)} is longer than the 'timeout' of the {owner}, which ends the step "
                f"after {format_duration(limit)}",
                beside=("timeout",),
            )


def _follow(given: Any, path: tuple[str, ...]) -> Any:
    for word in path:
        given = given.get(word) if isinstance(given, Mapping) else None
    return given


@dataclass(frozen=True, slots=True)
class _Span:
    """The minimum time of a part, and the path where it is written."""

    seconds: float
    path: Path = ()


def find_overlong_phases(spec: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """Yield the phase that cannot end before the run's timeout, and each `within` that is longer than it."""
    limit = read_seconds(spec["timeout"]) if "timeout" in spec else RUN_SECONDS
    if limit is None:
        return
    default = "" if "timeout" in spec else "default "
    end = f"the run ends after {format_duration(limit)} (its {default}'timeout')"
    beside: Path = ("timeout",) if "timeout" in spec else ()
    for path, (driver, word, seconds) in _find_own_times(spec):
        if seconds > limit:
            rule = f"{format_duration(seconds)} is longer than the run: {end}"
            yield BrokenRule((*path, driver, word), rule, "give 'spec' a longer 'timeout'", beside)
    needed = 0.0
    for index, phase in enumerate(list_mappings(spec.get("phases"))):
        if phase is None or _may_be_left_out(phase):
            continue
        before = needed
        spans = [_Span(span.seconds, ("phases", index, *span.path)) for span in _find_spans(phase)]
        longest = max(spans, key=lambda span: span.seconds)
        needed += longest.seconds
        if needed > limit >= before:
            least = format_duration(needed)
            rule = f"the phases up to here take at least {least}, but {end}"
            yield BrokenRule(longest.path, rule, "give 'spec' a longer 'timeout'", beside)
        for number, validation in enumerate(list_mappings(phase.get("validations"))):
            within = read_seconds(validation.get("within")) if validation else None
            if within is not None and within > limit:
                rule = f"{format_duration(within)} is longer than the run: {end}"
                path = ("phases", index, "validations", number, "within")
                yield BrokenRule(path, rule, "give 'spec' a longer 'timeout'", beside)


def _find_own_times(spec: Mapping[str, Any]) -> Iterator[tuple[Path, tuple[str, str, float]]]:
    """The own times of steps, with their paths. Without `wait` of phases, which the spans have."""
    for index, guard in enumerate(list_mappings(spec.get("guards"))):
        if (own := read_own_time(_follow(guard, ("probe",)))) is not None:
            yield ("guards", index, "probe"), own
    for index, phase in enumerate(list_mappings(spec.get("phases"))):
        for kind, word in (("actions", "do"), ("validations", "probe")):
            for number, entry in enumerate(list_mappings(_follow(phase, (kind,)))):
                own = read_own_time(_follow(entry, (word,)))
                if own is not None and own[0] not in _TIME_WORDS:
                    yield ("phases", index, kind, number, word), own


def _find_spans(phase: Mapping[str, Any]) -> Iterator[_Span]:
    """The parts of a phase that run in parallel; the phase takes at least as long as the longest."""
    yield _Span(read_seconds(phase.get("hold")) or 0.0, ("hold",) if "hold" in phase else ())
    in_turn = _Span(0.0)
    for index, action in enumerate(list_mappings(phase.get("actions"))):
        if action is None or _may_be_left_out(action):
            continue
        waiting = _measure_wait(action.get("do"), ("actions", index, "do"))
        if "at" in action:
            at = read_seconds(action["at"]) or 0.0
            yield _Span(
                at + waiting.seconds, waiting.path if waiting.seconds > at else ("actions", index, "at")
            )
        elif waiting.seconds:
            in_turn = _Span(in_turn.seconds + waiting.seconds, waiting.path)
    yield in_turn
    for index, validation in enumerate(list_mappings(phase.get("validations"))):
        if validation is None or _lasts_throughout(validation) or _may_be_left_out(validation):
            continue
        path: Path = ("validations", index)
        holding = _Span(read_seconds(validation.get("for")) or 0.0, (*path, "for"))
        looking = _measure_wait(validation.get("probe"), (*path, "probe"))
        longest = max(holding, looking, key=lambda span: span.seconds)
        if longest.seconds:
            yield _Span(in_turn.seconds + longest.seconds, longest.path)


def _may_be_left_out(words: Mapping[str, Any]) -> bool:
    """Whether its `when` is false, or depends on a variable that is not filled in yet."""
    return words.get("when", True) is not True


def _lasts_throughout(validation: Mapping[str, Any]) -> bool:
    return isinstance(validation.get("throughout"), Mapping) or validation.get("throughout") is True


def _measure_wait(step: Any, path: Path) -> _Span:
    """The time of a `wait` step; the time of other steps is not known."""
    own = read_own_time(step)
    if own is None or own[0] != "wait":
        return _Span(0.0)
    return _Span(own[2], (*path, own[0], own[1]))


def list_mappings(entries: Any) -> Iterator[Mapping[str, Any] | None]:
    """Each entry, or None for an entry that is not a mapping."""
    for entry in entries if isinstance(entries, list) else ():
        yield entry if isinstance(entry, Mapping) else None


def measure_phase(phase: Mapping[str, Any]) -> float:
    """How long a phase takes at most, as far as its words say: seconds of `hold`, waits and `within`."""
    longest = max(span.seconds for span in _find_spans(phase))
    for validation in list_mappings(phase.get("validations")):
        within = read_seconds((validation or {}).get("within")) or 0.0
        longest = max(longest, within + (read_seconds((validation or {}).get("for")) or 0.0))
    return longest
