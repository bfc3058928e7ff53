"""The report of a run: the same bytes in the admin site, in the API and on the command line."""

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
    # Generated clients read text/xml as text, and application/xml not at all.
    "junit": Format("text/xml", "xml", junit.render),
    "md": Format("text/markdown", "md", markdown.render),
}


def render_report(run: Run, format_name: str) -> bytes:
    """Render the report in one of FORMATS, in UTF-8.

    Once a run has ended and its charts are complete, its report no longer changes.

    Raises:
        ValueError: the format is unknown.
    """
    if format_name not in FORMATS:
        raise ValueError(f"unknown report format {format_name!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[format_name].render(collect_facts(run)).encode()


def file_name(run: Run, format_name: str) -> str:
    return f"{run.scenario_name}-{run.short_id}.{FORMATS[format_name].suffix}"
