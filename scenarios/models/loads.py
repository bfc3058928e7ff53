"""What the loads of a run have measured so far."""

from django.db import models


class LoadProgress(models.Model):
    """One load of a run that goes on, as `runs.load_book` writes it every few seconds.

    It is deleted when the run's events have the whole; that of a worker that was killed stays. `number` is
    the load's place in the document, and `version` counts the writes.
    """

    run = models.ForeignKey("scenarios.Run", models.CASCADE, related_name="load_progress", db_index=False)
    attempt = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    version = models.PositiveIntegerField()
    content = models.TextField()

    class Meta:
        constraints = [
            # Its index also finds the loads of a run, in their order.
            models.UniqueConstraint(fields=["run", "attempt", "number"], name="load_progress_number_unique")
        ]

    def __str__(self) -> str:
        return f"load {self.number} of {self.run_id}"
