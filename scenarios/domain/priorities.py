"""The range of priorities, the same as that of Django's tasks."""

MIN_PRIORITY, MAX_PRIORITY = -100, 100
