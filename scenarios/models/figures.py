"""What runs measured, kept to compare later runs with."""

from django.db import models


class RunFigures(models.Model):
    """The figures of a run, as `runs.figures.encode_figures` writes them.

    `version` is a digest of the document: runs of the same scenario and version are comparable. `outcome` is
    that of the run; it is here, too, so that its figures are found by one index.
    """

    run = models.OneToOneField("scenarios.Run", models.CASCADE, primary_key=True, related_name="figures")
    version = models.CharField(max_length=64)
    outcome = models.CharField(max_length=12)
    recorded_at = models.DateTimeField()
    content = models.TextField()
    regressions = models.TextField(blank=True, help_text="What was slower than 'regression' allows.")

    class Meta:
        indexes = [models.Index(fields=["version", "outcome", "-recorded_at"])]

    def __str__(self) -> str:
        return f"figures of {self.run_id}"
