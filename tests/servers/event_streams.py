"""Server-Sent Events of all runs, followed by a browser and by a program."""

import json
from collections.abc import Iterator
from itertools import islice

import httpx
from httpx_sse import connect_sse

FOLLOW = """() => {
    window.messages = [];
    window.connections = 0;
    window.source = new EventSource("/api/v1/events?wait=1");
    window.source.onopen = () => { window.connections += 1; };
    const keep = ({lastEventId: id, type, data}) => window.messages.push({id, type, ...JSON.parse(data)});
    window.source.onmessage = keep;
    window.source.addEventListener("position", keep);
}"""
HAS_ENDED = (
    "run => connections > 2 && messages.some(({run: of, kind}) => of === run && kind === 'run_finished')"
)


def read_events(base: str, token: str, last: str, *, until: str) -> Iterator[str]:
    """Ids, as httpx-sse reads them; the connection is given up after two messages and made again."""
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:
        while last != until:
            headers = {"Last-Event-ID": last}
            with connect_sse(client, "GET", "/api/v1/events", headers=headers) as source:
                for message in islice(source.iter_sse(), 2):
                    assert (message.event, json.loads(message.data)["scenario"] != "") == ("message", True)
                    last = message.id
                    yield last
