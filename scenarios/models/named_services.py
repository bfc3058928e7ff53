"""The services that the steps of a scenario name, so that lists need not read documents."""

from django.db import models


class NamedService(models.Model):
    """Written together with the scenario."""

    scenario = models.ForeignKey("scenarios.Scenario", models.CASCADE, related_name="named_services")
    scenario_name = models.CharField(max_length=63, help_text="A copy: names of scenarios never change.")
    service = models.CharField(max_length=63, help_text="The service need not be registered.")
    is_touched = models.BooleanField(default=True, help_text="False: the scenario only looks at it.")

    class Meta:
        default_permissions = ()
        constraints = [
            # In this order, an index covers the queries of the list of services.
            models.UniqueConstraint(
                fields=["service", "scenario_name", "scenario"], name="named_service_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.service} in {self.scenario_name}"
