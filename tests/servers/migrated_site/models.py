from importlib import import_module

from django.apps import apps
from django.db import models


def find_bases() -> tuple[type, ...]:
    """What a model derives from: with django-prometheus, a class first that counts its rows."""
    if apps.is_installed("django_prometheus"):
        return import_module("django_prometheus.models").ExportModelOperationsMixin("lawn"), models.Model
    return (models.Model,)


class Lawn(*find_bases()):  # type: ignore[misc] # it depends on the step
    location = models.CharField(max_length=100)

    class Meta:
        db_table = "lawn"
