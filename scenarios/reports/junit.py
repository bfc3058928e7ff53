"""The report as JUnit XML, for CI.

There is a test case for each validation, for each action that failed its expectation, for the run and for its
rollback. In the form that Jenkins and GitLab read: https://github.com/testmoapp/junitxml
"""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.domain.plan import LeftOut, LoadValidation, Validation
from scenarios.domain.xml_text import clean_xml_text
from scenarios.reports.facts import Facts
from scenarios.runs.history import StepHistory

_CHILDREN = {"failed": "failure", "errored": "error", "running": "skipped", "not judged": "skipped"}


def render(facts: Facts) -> str:
    run, history = facts.run, facts.history
    suite = Element(
        "testsuite",
        name=run.scenario_name,
        timestamp=history.began.isoformat(),
        time=f"{history.offset(history.ends):.3f}",
        id=str(run.pk),
    )
    for step in (*history.validations, *_list_failed_actions(facts)):
        _add_step(suite, step, facts)
    for left_out in facts.left_out:
        _add_left_out(suite, left_out, facts)
    _add_run(suite, facts)
    _add_regressions(suite, facts)
    _add_rollback(suite, facts)
    for word, child in (("tests", "testcase"), *((f"{kind}s", kind) for kind in ("failure", "error"))):
        suite.set(word, str(len(list(suite.iter(child)))))
    suite.set("skipped", str(len(list(suite.iter("skipped")))))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _add_case(suite: Element, name: str, classname: str, seconds: float) -> Element:
    return SubElement(
        suite,
        "testcase",
        name=clean_xml_text(name),
        classname=clean_xml_text(classname),
        time=f"{seconds:.3f}",
    )


def _add_left_out(suite: Element, left_out: LeftOut, facts: Facts) -> None:
    for part in left_out.parts:
        if isinstance(part, Validation | LoadValidation):
            case = _add_case(suite, part.name, f"{facts.run.scenario_name}.{left_out.phase}", 0.0)
            SubElement(case, "skipped", message="left out, because 'when' is false")


def _list_failed_actions(facts: Facts) -> list[StepHistory]:
    """Actions that failed their expectation. One that could not be carried out is the run's error."""
    if facts.run.outcome == Outcome.ERRORED:
        return []
    return [step for step in facts.history.steps if step.kind == "action" and step.verdict == "failed"]


def _add_step(suite: Element, step: StepHistory, facts: Facts) -> None:
    history = facts.history
    seconds = history.offset(step.ended) - history.offset(step.began)
    case = _add_case(suite, step.name, f"{facts.run.scenario_name}.{step.phase}", seconds)
    if child := _CHILDREN.get(step.verdict):
        found = SubElement(case, child, message=clean_xml_text(step.reason or step.verdict))
        if (seen := facts.output_of(step)) is not None:
            found.text = clean_xml_text(f"seen: {seen!r}")


def _add_run(suite: Element, facts: Facts) -> None:
    """Anything other than a validation that ended the run is an error of its own."""
    run = facts.run
    case = _add_case(suite, "the run completes", run.scenario_name, facts.history.offset(facts.history.ends))
    if run.state != RunState.FINISHED:
        SubElement(case, "skipped", message=f"the run is {run.state}")
    elif run.outcome not in (Outcome.PASSED, Outcome.FAILED):
        SubElement(case, "error", message=clean_xml_text(f"{run.outcome}: {run.reason}"))


def _add_regressions(suite: Element, facts: Facts) -> None:
    if facts.regressions:
        case = _add_case(suite, "the run is as quick as earlier ones", facts.run.scenario_name, 0.0)
        SubElement(case, "failure", message=clean_xml_text("; ".join(facts.regressions)))


def _add_rollback(suite: Element, facts: Facts) -> None:
    case = _add_case(suite, "nothing is left injected", facts.run.scenario_name, 0.0)
    if facts.run.state != RunState.FINISHED:
        SubElement(case, "skipped", message=f"the run is {facts.run.state}")
    elif facts.run.rollback == Rollback.DIRTY:
        left = "; ".join(f"{fault.action}: {fault.reason}" for fault in facts.history.still_injected)
        SubElement(case, "failure", message=clean_xml_text(f"rollback dirty: {left}"))
    elif facts.run.rollback == Rollback.UNVERIFIED:
        left = "; ".join(f"{fault.action}: {fault.status}" for fault in facts.history.unverified)
        SubElement(case, "system-out").text = clean_xml_text(f"rollback unverified: {left}")
    elif closed := facts.history.acknowledged:
        words = "; ".join(f"{fault.action}, by {fault.acknowledged_by}: {fault.reason}" for fault in closed)
        SubElement(case, "system-out").text = clean_xml_text(f"acknowledged without an undo: {words}")
