"""Sends the trace of a run that has ended to a collector, by OTLP over HTTP.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.conf import settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from scenarios.models import Event, Fault, Run
from scenarios.notifications.spans import Note, Span, build_spans
from scenarios.published.looks import read_looks

SPANS_PER_REQUEST = 1000
_SCOPE = InstrumentationScope("test-coordinator")
_NANOSECONDS_PER_MICROSECOND = 1000


def build_requests(run: Run) -> list[bytes]:
    """The bodies of the requests that carry the run's trace, compressed by gzip.

    They are made when they are sent, from what is stored of the run. The ids of the spans do not change, so
    that a collector which gets them twice can tell.
    """
    events = Event.objects.filter(run=run).order_by("sequence")
    faults = Fault.objects.filter(run=run).order_by("order")
    resource = _build_resource()
    spans = (
        _convert(span, run.id, resource)
        for span in build_spans(run, events.iterator(), faults, read_looks(run))
    )
    return [gzip.compress(encode_spans(batch).SerializeToString()) for batch in _split(spans)]


def _split(spans: Iterator[ReadableSpan]) -> Iterator[Sequence[ReadableSpan]]:
    while batch := list(islice(spans, SPANS_PER_REQUEST)):
        yield batch


def _build_resource() -> Resource:
    return Resource(
        {
            "service.name": settings.SERVICE_NAME,
            "service.version": settings.SERVICE_VERSION,
            "service.instance.id": settings.SERVICE_INSTANCE_NAME,
        }
    )


def _convert(span: Span, run_id: UUID, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_build_context(run_id, span.span_id),
        parent=_build_context(run_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        events=[_convert_note(note) for note in span.notes],
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.failure) if span.failure else Status(StatusCode.OK),
        start_time=_to_nanoseconds(span.began_at),
        end_time=_to_nanoseconds(span.ended_at),
        instrumentation_scope=_SCOPE,
    )


def _convert_note(note: Note) -> SpanEvent:
    return SpanEvent(note.name, note.attributes, _to_nanoseconds(note.at))


def _build_context(run_id: UUID, span_id: str) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(run_id.int, int(span_id, 16), is_remote=False, trace_flags=sampled)


def _to_nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * _NANOSECONDS_PER_MICROSECOND
