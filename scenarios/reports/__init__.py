"""The report of a run, for the page, the command line and whoever else asks: the same bytes for all."""

from collections.abc import Callable
from dataclasses import dataclass

from scenarios.models import Run
from scenarios.reports import data, junit, markdown, page
from scenarios.reports.facts import Facts, collect_facts


@dataclass(frozen=True, slots=True)
class Format:
    media_type: str
    suffix: str
    render: Callable[[Facts], str]


FORMATS = {
    "html": Format("text/html", "html", page.render),
    "json": Format("application/json", "json", data.render),
    "junit": Format("application/xml", "xml", junit.render),
    "md": Format("text/markdown", "md", markdown.render),
}


def render_report(run: Run, format_name: str) -> bytes:
    """The report in one of FORMATS, in UTF-8. That of an ended run, from the moment its charts are complete,
    is the same whenever it is asked for.

    Raises:
        ValueError: there is no such format.
    """
    if format_name not in FORMATS:
        raise ValueError(f"{format_name!r} is no format of a report: one of {', '.join(FORMATS)}")
    return FORMATS[format_name].render(collect_facts(run)).encode()


def file_name(run: Run, format_name: str) -> str:
    return f"{run.scenario_name}-{run.short_id}.{FORMATS[format_name].suffix}"
