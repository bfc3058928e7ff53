from django.urls import path, re_path

from scenarios.api import api
from scenarios.api.problems import refuse_unknown_address

urlpatterns = [path("api/v1/", api.urls), re_path("^api/", refuse_unknown_address, name="api-unknown")]
