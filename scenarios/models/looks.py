"""What the looks of validations saw."""

from django.db import models


class LookChunk(models.Model):
    """Some successive looks of one validation, as `published.looks.encode_looks` writes them.

    A run has few rows, however often it looks: only the last chunk of a validation still grows. `series`
    counts the validations of an attempt in the order of their first looks, `number` the chunks of one.
    """

    run = models.ForeignKey("scenarios.Run", models.CASCADE, related_name="look_chunks", db_index=False)
    attempt = models.PositiveIntegerField()
    series = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    phase = models.CharField(max_length=200)
    validation = models.CharField(max_length=200)
    about = models.CharField(max_length=200, blank=True, help_text="The service that is probed.")
    compared = models.CharField(
        max_length=200, blank=True, help_text="The field or JSONPath whose number the looks have as value."
    )
    count = models.PositiveIntegerField()
    content = models.TextField()

    class Meta:
        constraints = [
            # Its index also finds the chunks of a run, in their order.
            models.UniqueConstraint(
                fields=["run", "attempt", "series", "number"], name="look_chunk_number_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} looks of {self.validation}"
