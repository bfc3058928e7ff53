"""Every address the site answers."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from coordinator_site import login_views

admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    # Requested without a page that names it: after a JSON answer, or by an old browser.
    path("favicon.ico", RedirectView.as_view(url=static("scenarios/favicon.svg")), name="favicon"),
    path("admin/", admin.site.urls),
    path("oidc/login/", login_views.start, name="oidc_login"),
    path("oidc/callback/", login_views.callback, name="oidc_callback"),
    path("oidc/logout/", login_views.end, name="oidc_logout"),
    path("metrics", include("metrics_app.urls")),
    path("", include("scenarios.urls")),
]
