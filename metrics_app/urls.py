from django.urls import path

from metrics_app import views

app_name = "metrics"
urlpatterns = [path("", views.exposition, name="exposition")]
