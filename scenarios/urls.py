from django.urls import path, re_path

from scenarios.api import api
from scenarios.api.problems import refuse_unknown_address
from scenarios.control_room.invitation_page import accept, open_link
from scenarios.control_room.suite_badges import show_badge

urlpatterns = [
    path("api/v1/", api.urls),
    path("badges/suites/<slug:name>/<slug:key>.svg", show_badge, name="suite_badge"),
    path("invitation/", accept, name="invitation"),
    path("invitation/<str:word>/", open_link, name="invitation_link"),
    re_path("^api/", refuse_unknown_address, name="api-unknown"),
]
