"""Which services the steps of a scenario name: kept beside it, so that no list has to read documents."""

from django.db import models


class NamedService(models.Model):
    """Written with the scenario, in named_services.py."""

    scenario = models.ForeignKey("scenarios.Scenario", models.CASCADE, related_name="named_services")
    scenario_name = models.CharField(max_length=63, help_text="It never changes: its key stands for it.")
    service = models.CharField(max_length=63, help_text="Its name: it may be registered later, or never.")

    class Meta:
        default_permissions = ()
        constraints = [
            # In this order an index has whatever the list of services tells.
            models.UniqueConstraint(
                fields=["service", "scenario_name", "scenario"], name="named_service_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.service} in {self.scenario_name}"
