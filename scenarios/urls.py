from django.urls import path

from scenarios.api import api

urlpatterns = [path("api/v1/", api.urls)]
