from django.apps import AppConfig


class CoordinatorSiteConfig(AppConfig):
    name = "coordinator_site"
