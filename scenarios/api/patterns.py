"""Patterns of values in requests, each with a hint that says it in words."""

from scenarios.domain.timetable import TIME_OF_DAY, TIME_OF_DAY_HINT

ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
WITHOUT_NUL = r"^[^\x00]*$"
RUN_ID_PREFIX = r"^[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?$"
URL_PATH = r"^/([!-.0-~][!-~]*)?$"

HINTS = {
    ONE_LINE: "write it on one line, without control characters",
    WITHOUT_NUL: "leave out NUL characters",
    RUN_ID_PREFIX: "give the id of a run, or the beginning of it, in lower case",
    TIME_OF_DAY: TIME_OF_DAY_HINT,
    URL_PATH: "begin it with one '/', for example '/health'",
}
