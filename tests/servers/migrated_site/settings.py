"""Of each step: `STEP_OF_TEST` is 0 where django-prometheus is alone, and 3 at the end of the guide."""

import os
from typing import Any

STEP = int(os.environ["STEP_OF_TEST"])
FOLDER = os.environ["DIRECTORY_OF_TEST"]
THEIRS = "django_prometheus" if STEP < 2 else "django.core"
SECRET_KEY = "made up"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
ROOT_URLCONF = "tests.servers.migrated_site.urls"
INSTALLED_APPS = ["tests.servers.migrated_site"]
MIDDLEWARE: list[str] = []
METRICS: dict[str, Any] = {"DIRECTORY": f"{FOLDER}/metrics"}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/lawns.sqlite3"}}
CACHES = {
    "default": {"BACKEND": f"{THEIRS}.cache.backends.filebased.FileBasedCache", "LOCATION": f"{FOLDER}/cache"}
}

if STEP < 2:
    INSTALLED_APPS.append("django_prometheus")
    MIDDLEWARE += [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ]
    DATABASES["default"]["ENGINE"] = "django_prometheus.db.backends.sqlite3"
if STEP >= 1:
    INSTALLED_APPS.append("metrics_app")
if STEP >= 2:
    MIDDLEWARE.insert(0, "metrics_app.middleware.RequestMetricsMiddleware")
    METRICS |= {"DATABASE": True, "CACHES": True}
    METRICS |= {"NAMES": "django-prometheus"} if STEP == 2 else {"REQUEST_DETAILS": ["exceptions"]}
