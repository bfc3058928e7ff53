# Made from asynchronous/events.py by write_synchronous.py: change that instead.
"""The events of all runs, as they happen."""

from collections.abc import Iterator, Sequence

from coordinator_client.synchronous.streams import watch_stream
from coordinator_client.synchronous.transport import Transport
from coordinator_client.following import FollowedFeed
from coordinator_client.records import FeedEvent


class Events:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def follow(
        self, *, scenario: str = "", kinds: Sequence[str] = (), outcome: str = "", after: str = ""
    ) -> Iterator[FeedEvent]:
        """Yield each event once, without an end, and continue after broken connections.

        It begins with what comes now, or behind the event whose `position` is `after`. `outcome` selects
        only ends of runs with this outcome. Raises as `watch` does.
        """
        feed = self.watch(FollowedFeed(after), scenario=scenario, kinds=kinds, outcome=outcome)
        for event in feed:
            if event is not None:
                yield event

    def watch(
        self,
        followed: FollowedFeed,
        *,
        scenario: str = "",
        kinds: Sequence[str] = (),
        outcome: str = "",
        until: float | None = None,
    ) -> Iterator[FeedEvent | None]:
        """As `follow`, with None after each silence of seconds. `until` is a time of `time.monotonic`.

        Raises:
            UnavailableError: the coordinator has not responded for `followed.max_outage` seconds.
            InvalidRequestError: there is no such kind or outcome.
        """
        filters = {"scenario": scenario, "kind": ",".join(kinds), "outcome": outcome}
        for event in watch_stream(self._transport, followed, "events", filters, until=until):
            yield event
