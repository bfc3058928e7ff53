"""Dates as ISO 8601 orders them: nobody must know from which country they are read."""

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s"
