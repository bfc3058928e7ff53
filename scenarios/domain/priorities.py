"""The range of priorities: as Django's tasks have it."""

MIN_PRIORITY, MAX_PRIORITY = -100, 100
