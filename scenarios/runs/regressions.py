"""Keeps the figures of a run that ends, and fails it if they are worse than its document allows."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from scenarios.database.errors import UNSTORABLE, is_refused
from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import Outcome, Verdict
from scenarios.domain.outputs import make_ascii
from scenarios.domain.usual_values import MIN_VALUES, Usual
from scenarios.models import Run, RunFigures
from scenarios.runs.comparisons import Comparison, compare_with_earlier
from scenarios.runs.figures import Figures, collect_figures, digest_document, encode_figures
from scenarios.runs.history import read_history
from scenarios.runs.leases import Claim

_MIN_USUAL = {"error_rate": 0.001, "p95": 0.001}
logger = logging.getLogger(__name__)


def settle_figures(claim: Claim, limits: Mapping[str, float], verdict: Verdict) -> Verdict:
    """Keep the run's figures; return the verdict, `failed` if the run has passed but was too slow.

    `limits` are the highest multiples of what is usual, by the name of the figure.
    """
    run = Run.objects.get(id=claim.run_id)
    figures = collect_figures(read_history(run))
    compared = compare_with_earlier(run, figures) if limits else []
    slower = list(_find_regressions(compared, limits)) if verdict.outcome is Outcome.PASSED else []
    if slower:
        verdict = replace(verdict, outcome=Outcome.FAILED, reason="; ".join(slower))
    try:
        with transaction.atomic():
            _store(run, figures, verdict.outcome, "\n".join(slower))
    except UNSTORABLE as error:
        if not is_refused(error):
            raise
        logger.warning("The figures of run %s could not be stored: %s", run.id, error)
    return verdict


def _find_regressions(compared: list[Comparison], limits: Mapping[str, float]) -> Iterator[str]:
    for comparison in compared:
        limit = limits.get(comparison.key.name)
        if limit is None or comparison.usual is None or comparison.usual.count < MIN_VALUES:
            continue
        # No share of errors is a multiple of zero.
        if comparison.value > limit * max(comparison.usual.middle, _MIN_USUAL.get(comparison.key.name, 0.0)):
            yield _describe(comparison, comparison.usual, limit)


def _describe(comparison: Comparison, usual: Usual, limit: float) -> str:
    key = comparison.key
    if key.measures_load:
        figure = f"{key.in_words} of load {key.subject!r} in phase {key.phase!r}"
        value, middle = (key.format_value(number) for number in (comparison.value, usual.middle))
    else:
        figure = key.in_words
        value, middle = (format_duration(round(number, 3)) for number in (comparison.value, usual.middle))
    return (
        f"the {figure} was {value}, more than {limit:g}x the median of the last "
        f"{usual.count} passed runs of this document, {middle}"
    )


def _store(run: Run, figures: Figures, outcome: Outcome, regressions: str) -> None:
    RunFigures.objects.update_or_create(
        run=run,
        defaults={
            "version": digest_document(run.document),
            "outcome": outcome,
            "recorded_at": timezone.now(),
            "content": encode_figures(figures),
            "regressions": make_ascii(regressions),
        },
    )


def read_regressions(run: Run) -> list[str]:
    """The figures of the run that are worse than its document allows."""
    texts = RunFigures.objects.filter(run=run).values_list("regressions", flat=True)
    return [sentence for text in texts for sentence in text.splitlines()]
