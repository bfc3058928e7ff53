"""The trace that a request belongs to, by its `traceparent` header.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re

HEADER = "HTTP_TRACEPARENT"
# Later versions may append more. Version ff and an id of zeros are invalid.
TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
SAMPLED = 1


def sampled_trace_id(traceparent: str) -> str:
    """The id of the trace, 32 digits; '' if the header is not valid or the trace is not sampled."""
    match = TRACEPARENT.fullmatch(traceparent)
    if match is None or (traceparent.startswith("00") and match["more"]):
        return ""
    return match["trace"] if int(match["flags"], 16) & SAMPLED else ""
