"""The report as one HTML file, without scripts or external resources, and with a policy that forbids them."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

import yaml
from django.template.loader import render_to_string

from scenarios.domain.outputs import truncate
from scenarios.pictures.load_charts import HEADS, build_load_views
from scenarios.pictures.look_charts import build_look_views
from scenarios.pictures.run_timeline import run_timeline
from scenarios.reports.facts import MAX_OUTPUT, Facts

STATIC = Path(__file__).parent.parent / "static" / "scenarios"
STYLES = ("report.css", "pictures.css")


def render(facts: Facts) -> str:
    context = {
        "facts": facts,
        "run": facts.run,
        "history": facts.history,
        "timeline": run_timeline(facts.history) if facts.history.steps else "",
        "steps": [(step, _format_output(facts.output_of(step))) for step in facts.history.steps],
        "looks": build_look_views(facts.history),
        "loads": build_load_views(facts.history),
        "load_heads": HEADS,
        "charts": facts.charts,
        "style": read_style(),
        "policy": build_policy(),
    }
    return render_to_string("scenarios/report.html", context)


@lru_cache(maxsize=1)
def read_style() -> str:
    return "\n".join((STATIC / name).read_text() for name in STYLES)


@lru_cache(maxsize=1)
def build_policy() -> str:
    """Allows the one embedded style sheet by its digest, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(read_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _format_output(seen: object) -> str:
    text = yaml.safe_dump(seen, sort_keys=False, allow_unicode=True, width=100) if seen else ""
    return truncate(text, MAX_OUTPUT)
