"""The run of a suite as JUnit XML, for CI: a test case for each cell."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from django.utils import timezone

from scenarios.domain.suite_states import SuiteOutcome, TriedState
from scenarios.domain.xml_text import clean_xml_text
from scenarios.models import SuiteRun
from scenarios.suites.matrix import find_fault_title

_CHILDREN = {
    TriedState.FAILED: "failure",
    TriedState.ERRORED: "error",
    TriedState.SKIPPED: "skipped",
    TriedState.WAITING: "skipped",
    TriedState.RUNNING: "skipped",
}


def render_junit(suite_run: SuiteRun) -> str:
    ended = suite_run.finished_at or timezone.now()
    suite = Element(
        "testsuite",
        name=clean_xml_text(suite_run.suite_name),
        timestamp=suite_run.started_at.isoformat(),
        time=f"{max(0.0, (ended - suite_run.started_at).total_seconds()):.3f}",
        id=str(suite_run.pk),
    )
    cells = suite_run.cells.select_related("run").defer("run__document", "run__variables").order_by("order")
    for cell in cells:
        took = cell.run.took if cell.run is not None else None
        case = SubElement(
            suite,
            "testcase",
            name=clean_xml_text(find_fault_title(cell.fault)),
            classname=clean_xml_text(f"{suite_run.suite_name}.{cell.dependency}"),
            time=f"{took.total_seconds() if took is not None else 0.0:.3f}",
        )
        if child := _CHILDREN.get(TriedState(cell.state)):
            SubElement(case, child, message=clean_xml_text(cell.reason or cell.state))
        if cell.run is not None:
            text = f"{cell.state}: run {cell.run.pk} ({cell.run.verdict}) {cell.reason}"
            SubElement(case, "system-out").text = clean_xml_text(text)
    _add_outcome(suite, suite_run)
    for word, child in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        suite.set(word, str(len(list(suite.iter(child)))))
    suite.set("skipped", str(len(list(suite.iter("skipped")))))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _add_outcome(suite: Element, suite_run: SuiteRun) -> None:
    """What went wrong with the whole suite is a test case of its own."""
    name = clean_xml_text(suite_run.suite_name)
    case = SubElement(suite, "testcase", name="the suite completes", classname=name, time="0.000")
    if not suite_run.outcome:
        SubElement(case, "skipped", message="the run of the suite goes on")
    elif suite_run.outcome in (SuiteOutcome.ABORTED, SuiteOutcome.ERRORED):
        SubElement(case, "error", message=clean_xml_text(f"{suite_run.outcome}: {suite_run.reason}"))
