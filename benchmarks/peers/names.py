"""The names of the measurements."""

NOTHING = "no metrics"
PLAIN = "plain .labels()"
DJANGO_PROMETHEUS = "django-prometheus"
OPENTELEMETRY = "OpenTelemetry"
OURS = "this product"
OURS_RED = "this product, RED alone"
OURS_DETAILED = "this product, with every request detail"
