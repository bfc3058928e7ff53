"""What a fault looks like to a client: five requests, one below the other, from left to right in time."""

from collections.abc import Iterator

from django.utils.safestring import SafeString

from scenarios.pictures.svg import element, picture

WIDTH, HEIGHT, ROW, TOP, LEFT = 150.0, 66.0, 12.0, 9.0, 6.0
# One letter for each request.
WORDS = {
    "o": "answered at once",
    "s": "answered late",
    "l": "answered very late",
    "e": "answered with an error",
    "c": "answered with damaged data",
    "x": "refused at once",
    "r": "cut off",
    "t": "answered a few bytes at a time",
    "g": "answered after the client gave up",
    "h": "never answered",
}
LENGTHS = {
    "o": 18.0,
    "s": 80.0,
    "l": 132.0,
    "e": 18.0,
    "c": 18.0,
    "x": 4.0,
    "r": 46.0,
    "t": 132.0,
    "g": 138.0,
    "h": 138.0,
}
GOOD = "osl"
# By scenario of the catalogue: what its users would see without the service's own precautions.
SEEN = {
    "cpu-busy": "ssssl",
    "dependency-closes-slowly": "ossss",
    "dependency-comes-and-goes": "xoxoo",
    "dependency-corrupts-answers": "cocco",
    "dependency-cuts-answers": "rrrrr",
    "dependency-fails-some-requests": "ooeoo",
    "dependency-fails-then-recovers": "eeeoo",
    "dependency-hangs": "hhhhh",
    "dependency-jittery": "oslos",
    "dependency-outage-noticed": "xxxxx",
    "dependency-overloaded": "eeeee",
    "dependency-refuses-connections": "xxxxx",
    "dependency-resets-connections": "rrrrr",
    "dependency-resets-some-connections": "oroor",
    "dependency-slow": "sssss",
    "dependency-slow-for-some": "osoos",
    "dependency-slower-than-timeout": "ggggg",
    "dependency-trickles": "ttttt",
    "disk-full": "oeoee",
    "network-blackhole": "hhhhh",
    "network-slow": "sssss",
    "postgresql-connections-used-up": "oeeee",
    "postgresql-sessions-ended": "roooo",
    "postgresql-table-locked": "hhhhh",
    "process-killed": "rxxoo",
    "process-paused": "hhhhh",
    "redis-clients-closed": "rrooo",
    "redis-paused": "hhhhh",
    "redis-writes-paused": "olool",
    "unit-restarted": "rxxoo",
}


def draw_client_view(scenario: str) -> SafeString | None:
    """The picture for a scenario of the catalogue; None where it is not known what a client sees."""
    if (seen := SEEN.get(scenario)) is None:
        return None
    told = [WORDS[letter] for letter in seen]
    title = f"Five requests of a client: {', '.join(told)}"
    rows = [part for number, letter in enumerate(seen) for part in _draw_request(TOP + number * ROW, letter)]
    return picture(WIDTH, HEIGHT, title, *rows)


def _draw_request(y: float, letter: str) -> Iterator[SafeString]:
    kind = "passed" if letter in GOOD else "failed"
    end = LEFT + LENGTHS[letter]
    style = "pieces" if letter == "t" else "unanswered" if letter == "h" else "whole"
    yield element("line", class_=f"request {kind} {style}", x1=LEFT, x2=end, y1=y, y2=y)
    if letter in GOOD or letter in "tcg":
        yield element("circle", class_=f"mark {kind}", cx=end, cy=y, r=3.2)
    elif letter != "h":
        cross = f"M{end - 3:g} {y - 3:g}l6 6m0 -6l-6 6"
        yield element("path", class_=f"mark {kind}", d=cross)
