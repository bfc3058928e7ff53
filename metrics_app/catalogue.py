"""Every metric by name: its type, meaning, labels and buckets. Declarations of applications are added."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_MAX_LABEL_SETS = 2000
OVERFLOW = "overflow"
"""The value of every label of the series that takes what exceeds the limit of label sets."""

HTTP_REQUESTS = "http_requests_total"
HTTP_REQUEST_DURATION = "http_request_duration_seconds"
HTTP_REQUEST_ERRORS = "http_request_errors_total"
HTTP_REQUESTS_IN_PROGRESS = "http_requests_in_progress"
HTTP_REQUEST_SIZE = "http_request_size_bytes"
HTTP_RESPONSE_SIZE = "http_response_size_bytes"
HTTP_TIME_TO_FIRST_BYTE = "http_time_to_first_byte_seconds"
HTTP_EXCEPTIONS = "http_exceptions_total"
HTTP_REQUEST_QUERIES = "http_request_database_queries"
HTTP_REQUEST_QUERY_DURATION = "http_request_database_seconds"
DATABASE_CONNECTIONS = "database_connections_opened_total"
DATABASE_CONNECTION_ERRORS = "database_connection_errors_total"
DATABASE_QUERIES = "database_queries_total"
DATABASE_QUERY_ERRORS = "database_query_errors_total"
DATABASE_QUERY_DURATION = "database_query_duration_seconds"
CACHE_READS = "cache_reads_total"
DROPPED_SERIES = "metrics_dropped_series_total"
SCRAPE_DURATION = "metrics_scrape_duration_seconds"
SCRAPE_SERIES = "metrics_scrape_series"
SCRAPE_GAUGES_FAILURES = "metrics_scrape_gauges_failures_total"
SKIPPED_FILES = "metrics_skipped_files"
CLASHING_METRICS = "metrics_clashing_metrics"
MISUSED = "metrics_misused_total"


class Kind(StrEnum):
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


class Merge(StrEnum):
    """How one gauge that several processes set becomes one value.

    The values are those of prometheus_client. Without 'live', processes that have ended also count, until
    another one takes their place.
    """

    LAST = "mostrecent"
    """The value set last, even if by a process that is no more."""
    LAST_OF_LIVING = "livemostrecent"
    """The value that a process which still runs set last."""
    SUM = "sum"
    SUM_OF_LIVING = "livesum"
    """The sum over the processes that run."""
    MAX = "max"
    MAX_OF_LIVING = "livemax"
    MIN = "min"
    MIN_OF_LIVING = "livemin"

    @property
    def is_timed(self) -> bool:
        """Whether the time at which each process set its value decides."""
        return self in {Merge.LAST, Merge.LAST_OF_LIVING}


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric. Buckets are upper bounds, ascending, without infinity; durations are in seconds."""

    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = Merge.LAST
    route_label: str = field(default="", compare=False)
    """The label by whose value `route_buckets` are chosen."""
    route_buckets: Mapping[str, tuple[float, ...]] = field(default_factory=dict, compare=False)
    """Buckets of single routes, which have others than the rest."""

    otlp_name: str = ""
    """Its name over OTLP, where that is another one."""
    otlp_unit: str = ""
    otlp_labels: tuple[str, ...] = ()
    """The names of the labels over OTLP, in the order of `label_names`, where they are others."""

    def find_buckets(self, label_values: Sequence[str]) -> tuple[float, ...]:
        """The buckets of the series with these label values, in the order of the label names."""
        if not self.route_buckets:
            return self.buckets
        return self.route_buckets.get(label_values[self.label_names.index(self.route_label)], self.buckets)


REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SIZE_BUCKETS = (100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0, 100_000_000.0)
QUERIES_BUCKETS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _counter(name: str, meaning: str, *label_names: str) -> Definition:
    return Definition(name, Kind.COUNTER, meaning, label_names)


def _gauge(name: str, meaning: str, *label_names: str, merge: Merge = Merge.LAST) -> Definition:
    return Definition(name, Kind.GAUGE, meaning, label_names, merge=merge)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *label_names: str) -> Definition:
    return Definition(name, Kind.HISTOGRAM, meaning, label_names, buckets)


_REQUEST = ("method", "route", "code")

_HTTP = (
    _counter(HTTP_REQUESTS, "HTTP requests answered.", *_REQUEST),
    _histogram(
        HTTP_REQUEST_DURATION, "Time to answer an HTTP request to its last byte.", REQUEST_BUCKETS, *_REQUEST
    ),
    _counter(HTTP_REQUEST_ERRORS, "HTTP requests answered with a code of 400 or above.", *_REQUEST),
    _gauge(HTTP_REQUESTS_IN_PROGRESS, "HTTP requests being answered.", "method", merge=Merge.SUM_OF_LIVING),
)

_DETAILS = (
    _histogram(HTTP_REQUEST_SIZE, "Size of the body of an HTTP request.", SIZE_BUCKETS, *_REQUEST),
    _histogram(HTTP_RESPONSE_SIZE, "Size of the body of an HTTP response.", SIZE_BUCKETS, *_REQUEST),
    _histogram(
        HTTP_TIME_TO_FIRST_BYTE,
        "Time until there was something of the response to send.",
        REQUEST_BUCKETS,
        *_REQUEST,
    ),
    _counter(HTTP_EXCEPTIONS, "Unhandled exceptions, by type.", "method", "route", "type"),
    _histogram(
        HTTP_REQUEST_QUERIES, "Database queries of one HTTP request.", QUERIES_BUCKETS, "method", "route"
    ),
    _histogram(
        HTTP_REQUEST_QUERY_DURATION,
        "Time that the database queries of one HTTP request took together.",
        QUERY_BUCKETS,
        *("method", "route"),
    ),
)

_STORES = (
    _counter(DATABASE_CONNECTIONS, "Database connections opened.", "alias"),
    _counter(DATABASE_CONNECTION_ERRORS, "Attempts to connect to a database that failed.", "alias"),
    _counter(DATABASE_QUERIES, "Database queries executed, whether they failed or not.", "alias"),
    _counter(DATABASE_QUERY_ERRORS, "Database queries that failed.", "alias"),
    _histogram(
        DATABASE_QUERY_DURATION,
        "Time to execute a database query, without fetching its rows.",
        QUERY_BUCKETS,
        "alias",
    ),
    _counter(CACHE_READS, "Keys looked up in a cache, by hit or miss.", "alias", "outcome"),
)

_METRICS = (
    _counter(DROPPED_SERIES, "Recordings that went to the overflow series of a metric.", "metric"),
    _gauge(SCRAPE_DURATION, "Time the last scrape before this one took."),
    _gauge(SCRAPE_SERIES, "Series that the last scrape before this one had."),
    _counter(
        SCRAPE_GAUGES_FAILURES,
        "Gauges that could not be read at a scrape: the reading raised, gave what cannot be exposed, "
        "or took too long.",
        *("source", "reason"),
    ),
    _gauge(SKIPPED_FILES, "Files in the metrics directory that this scrape could not read.", "reason"),
    _counter(
        MISUSED,
        "Recordings refused because of their labels, value or type, or not stored.",
        *("metric", "kind"),
    ),
    _gauge(CLASHING_METRICS, "Metrics that this scrape left out because another one has their name."),
)

CATALOGUE: dict[str, Definition] = {
    definition.name: definition for definition in (*_HTTP, *_DETAILS, *_STORES, *_METRICS)
}


def first_used(name: str, kind: Kind, label_names: Iterable[str]) -> Definition:
    """The definition of a metric that is not in the catalogue."""
    buckets = REQUEST_BUCKETS if kind is Kind.HISTOGRAM else ()
    return Definition(name, kind, f"Not in the catalogue: {name}.", tuple(sorted(label_names)), buckets)
