from django.apps import apps
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from tests.servers.migrated_site.models import Lawn


def index(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("index")


def object_to_it(request: HttpRequest) -> HttpResponse:
    raise ValueError(request.path)


def grow(_request: HttpRequest, location: str) -> HttpResponse:
    Lawn(location=location).save()
    return HttpResponse(location)


def remember(_request: HttpRequest) -> HttpResponse:
    if cache.get("seen") is None:
        cache.set("seen", 1)
    return HttpResponse("seen")


urlpatterns = [
    path("", index, name="index"),
    path("objection", object_to_it, name="objection"),
    path("newlawn/<str:location>", grow, name="newlawn"),
    path("cached", remember, name="cached"),
    # django-prometheus's URLs name the path themselves.
    path("metrics", include("metrics_app.urls"))
    if apps.is_installed("metrics_app")
    else path("", include("django_prometheus.urls")),
]
