"""A plan as a timeline: when faults are injected, and what must hold meanwhile."""

from collections.abc import Callable, Iterator

from django.utils.safestring import SafeString

from scenarios.domain.counts import format_count
from scenarios.domain.durations import format_duration
from scenarios.domain.plan import (
    Action,
    Guard,
    Load,
    LoadValidation,
    Phase,
    Plan,
    Step,
    Validation,
    accepts_any_certificate,
)
from scenarios.domain.sizes import format_share
from scenarios.drivers.installed import describe_end
from scenarios.pictures.timeline import LEFT, RIGHT, Band, Row, build_frame, draw_timeline, line, mark, span

# Every phase has at least this width; the rest is distributed by length.
MIN_WIDTH = 96.0
Place = Callable[[float], float]


def plan_timeline(plan: Plan) -> SafeString:
    bands = list(_bands(plan))
    rows = [_load(load) for load in plan.loads]
    rows += [_guard(guard) for guard in plan.guards]
    for phase, band in zip(plan.phases, bands, strict=True):
        rows += _rows(phase, band)
    rows += [_regression(name, multiple) for name, multiple in plan.regression.items()]
    return draw_timeline(f"The plan of {plan.scenario}: {_sentence(plan)}", build_frame(bands, rows))


def _sentence(plan: Plan) -> str:
    actions = [action for phase in plan.phases for action in phase.actions]
    faults = sum(action.undo is not None for action in actions)
    validations = sum(len(phase.validations) + len(phase.load_validations) for phase in plan.phases)
    counts = (
        (len(plan.phases), "phase"),
        *([(len(plan.loads), "load")] if plan.loads else []),
        (faults, "fault"),
        (validations, "validation"),
        (len(plan.guards), "guard"),
    )
    left_out = [f"{len(plan.left_out)} left out"] if plan.left_out else []
    return ", ".join([*(format_count(number, thing) for number, thing in counts), *left_out])


def compute_max_length(phase: Phase) -> float:
    """The maximum length of the phase in seconds: its hold, its last action or its validations."""
    moments = [action.at or 0.0 for action in phase.actions]
    judged: tuple[Validation | LoadValidation, ...] = (*phase.validations, *phase.load_validations)
    limits = [(validation.within or 0.0) + (validation.hold_for or 0.0) for validation in judged]
    return max(phase.hold, *moments, *limits, 0.0)


def _bands(plan: Plan) -> Iterator[Band]:
    room = RIGHT - LEFT
    narrowest = min(MIN_WIDTH, room / len(plan.phases))
    lengths = [compute_max_length(phase) for phase in plan.phases]
    shared = room - narrowest * len(lengths)
    total = sum(lengths)
    left = LEFT
    for phase, length in zip(plan.phases, lengths, strict=True):
        width = narrowest + shared * (length / total if total else 1 / len(lengths))
        yield Band(phase.name, _length(phase, length), left, left + width)
        left += width


def _length(phase: Phase, length: float) -> str:
    if not length:
        return "at once"
    if phase.hold == length:
        return format_duration(length)
    least = f"{format_duration(phase.hold)} to " if phase.hold else "up to "
    return least + format_duration(length)


def _load(load: Load) -> Row:
    title = f"load: {load.name}, {load.rate:g} requests a second{_describe_trust(load.request)}"
    return Row(load.name, [line(LEFT, RIGHT, "guard", title)])


def _guard(guard: Guard) -> Row:
    title = f"guard: {guard.name}, every {format_duration(guard.every)}{_describe_trust(guard.probe)}"
    return Row(guard.name, [line(LEFT, RIGHT, "guard", title)])


def _regression(name: str, multiple: float) -> Row:
    title = f"{name.replace('_', ' ')}: at most {multiple:g}x the usual"
    return Row(title, [mark(RIGHT - 8, "once", title)])


def _rows(phase: Phase, band: Band) -> Iterator[Row]:
    length = compute_max_length(phase)

    def place(seconds: float) -> float:
        return band.left + 8 + (band.right - band.left - 14) * (seconds / length if length else 0.0)

    for action in phase.actions:
        yield _action(action, band, place)
    for validation in phase.validations:
        yield _validation(validation, band, place)
    for judged in phase.load_validations:
        yield _load_validation(judged, band, place)


def _action(action: Action, band: Band, place: Place) -> Row:
    begins = place(action.at or 0.0)
    when = f" at {format_duration(action.at)}" if action.at is not None else ""
    if action.retry is not None:
        when += f", tried up to {format_count(action.retry.times, 'more time')}"
    when += _describe_saved(action) + _describe_trust(action.do)
    if action.undo is None:
        return Row(action.name, [mark(begins, "action", f"{action.name}{when}")])
    ends = RIGHT if action.until == "run" else band.right - 2
    until = "the run's end" if action.until == "run" else "the phase's end"
    proven = f", undone only when {action.undone.probe.driver!r} shows it" if action.undone else ""
    title = f"fault: {action.name}{when}, until {until}{proven}, {describe_end(action)}"
    return Row(action.name, [span(begins, ends, "fault", title)])


def _describe_saved(part: Action | Validation) -> str:
    return f", saves {', '.join(part.save)}" if part.save else ""


def _describe_trust(step: Step) -> str:
    return ", accepts any certificate" if accepts_any_certificate(step) else ""


def _validation(validation: Validation, band: Band, place: Place) -> Row:
    begins = place(0.0)
    trust = _describe_trust(validation.probe)
    if validation.throughout:
        title = f"{validation.name}: as long as the phase lasts{trust}"
        if validation.success is not None:
            title += f", at least {format_share(validation.success)} of the looks"
        return Row(validation.name, [span(begins, band.right - 2, "span", title, thin=True)])
    if validation.within is None:
        title = f"{validation.name}: once{_describe_saved(validation)}{trust}"
        return Row(validation.name, [mark(begins, "once", title)])
    return _within(validation, validation.within, begins, place)


def _load_validation(validation: LoadValidation, band: Band, place: Place) -> Row:
    if validation.within is None:
        ends = band.right - 2
        title = f"{validation.name}: load {validation.load}, at the end of the phase"
        return Row(
            validation.name,
            [span(place(0.0), ends, "span", title, thin=True), mark(ends, "once", title)],
        )
    return _within(validation, validation.within, place(0.0), place)


def _within(validation: Validation | LoadValidation, within: float, begins: float, place: Place) -> Row:
    title = f"{validation.name}: within {format_duration(within)}"
    if validation.hold_for:
        title += f", for {format_duration(validation.hold_for)}"
    if isinstance(validation, Validation):
        title += _describe_saved(validation) + _describe_trust(validation.probe)
    deadline = place(within)
    return Row(
        validation.name,
        [span(begins, deadline, "may", title, thin=True), mark(deadline, "once", title)],
    )
