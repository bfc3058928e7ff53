"""Metrics of databases, models and caches under the names of django-prometheus, by the setting NAMES."""

from metrics_app.catalogue import Definition, Kind
from metrics_app.request_schemes import LATENCY_BUCKETS

NEW_CONNECTIONS = "django_db_new_connections_total"
NEW_CONNECTION_ERRORS = "django_db_new_connection_errors_total"
EXECUTE = "django_db_execute_total"
EXECUTE_MANY = "django_db_execute_many_total"
DATABASE_ERRORS = "django_db_errors_total"
QUERY_DURATION = "django_db_query_duration_seconds"
CACHE_GET = "django_cache_get_total"
CACHE_HITS = "django_cache_get_hits_total"
CACHE_MISSES = "django_cache_get_misses_total"
CACHE_FAILURES = "django_cache_get_fail_total"

MODEL_INSERTS = "django_model_inserts_total"
MODEL_UPDATES = "django_model_updates_total"
MODEL_DELETES = "django_model_deletes_total"
MIGRATIONS_UNAPPLIED = "django_migrations_unapplied_total"
MIGRATIONS_APPLIED = "django_migrations_applied_total"

_DATABASE = ("alias", "vendor")

# Names, labels, help and buckets as in django-prometheus 2.5, db/metrics.py, cache/metrics.py, models.py and
# migrations.py.
STORES = (
    Definition(
        NEW_CONNECTIONS,
        Kind.COUNTER,
        "Counter of created connections by database and by vendor.",
        _DATABASE,
    ),
    Definition(
        NEW_CONNECTION_ERRORS,
        Kind.COUNTER,
        "Counter of connection failures by database and by vendor.",
        _DATABASE,
    ),
    Definition(
        EXECUTE,
        Kind.COUNTER,
        "Counter of executed statements by database and by vendor, including bulk executions.",
        _DATABASE,
    ),
    Definition(
        EXECUTE_MANY,
        Kind.COUNTER,
        "Counter of executed statements in bulk operations by database and by vendor.",
        _DATABASE,
    ),
    Definition(
        DATABASE_ERRORS,
        Kind.COUNTER,
        "Counter of execution errors by database, vendor and exception type.",
        (*_DATABASE, "type"),
    ),
    Definition(
        QUERY_DURATION,
        Kind.HISTOGRAM,
        "Histogram of query duration by database and vendor.",
        _DATABASE,
        LATENCY_BUCKETS,
    ),
    Definition(CACHE_GET, Kind.COUNTER, "Total get requests on cache", ("backend",)),
    Definition(CACHE_HITS, Kind.COUNTER, "Total hits on cache", ("backend",)),
    Definition(CACHE_MISSES, Kind.COUNTER, "Total misses on cache", ("backend",)),
    Definition(CACHE_FAILURES, Kind.COUNTER, "Total get request failures by cache", ("backend",)),
    Definition(MODEL_INSERTS, Kind.COUNTER, "Number of insert operations by model.", ("model",)),
    Definition(MODEL_UPDATES, Kind.COUNTER, "Number of update operations by model.", ("model",)),
    Definition(MODEL_DELETES, Kind.COUNTER, "Number of delete operations by model.", ("model",)),
    Definition(
        MIGRATIONS_UNAPPLIED,
        Kind.GAUGE,
        "Count of unapplied migrations by database connection",
        ("connection",),
    ),
    Definition(
        MIGRATIONS_APPLIED, Kind.GAUGE, "Count of applied migrations by database connection", ("connection",)
    ),
)
