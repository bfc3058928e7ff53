"""What is measured, by name."""

NOTHING = "no metrics"
PLAIN = "plain .labels()"
DJANGO_PROMETHEUS = "django-prometheus"
OPENTELEMETRY = "OpenTelemetry"
OURS = "this product"
OURS_RED = "this product, RED alone"
