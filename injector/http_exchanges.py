"""The requests and responses of one connection while it has HTTP faults."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import h11

from injector.http_faults import HttpFault, HttpRule
from injector.http_messages import (
    Kind,
    Messages,
    Part,
    UnreadableError,
    is_kept_alive,
    is_switch,
    is_upgrade,
    set_headers,
    waits_for_continue,
    write_answer,
)
from injector.pipes import Pipe

# How many parts of messages are read before other connections have their turn: a few milliseconds.
PARTS_AT_ONCE = 200


@dataclass(slots=True)
class Exchange:
    """A request, and how it is answered."""

    request: h11.Request
    faults: Sequence[HttpFault] = ()
    due: float = 0.0
    """When its delay ends, by the loop's clock."""
    is_sent: bool = False
    """Whether the request has come to its end."""
    closes: bool = False
    """Whether the connection ends after the response that the proxy gives."""
    left: int | None = None
    """Bytes of the response's body after which the connection is closed."""
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_answered_here(self) -> bool:
        return any(fault.is_answer for fault in self.faults)

    def write_answer(self) -> tuple[bytes, bool]:
        """The proxy's own answer, and whether the connection ends with it."""
        fault = next(fault for fault in self.faults if fault.is_answer)
        closes = self.closes or not is_kept_alive(self.request)
        status, body = fault.status or HTTPStatus.OK, (fault.body or "").encode()
        head, content = write_answer(self.request, status, body, self.headers, closes=closes)
        if self.left is not None and self.left < len(content):
            return head + content[: self.left], True
        return head + content, closes


class Exchanges:
    """Reads what both sides send, and passes it on to the pipes, in the order of HTTP/1.1.

    `finish` is called when the connection ends after what the pipe to the client has. `leave` is called when
    nothing is left to read here: with True if the bytes are not, or no longer, HTTP/1.1. `hit` is called for
    each request that has a fault.
    """

    def __init__(
        self,
        up: Pipe,
        down: Pipe,
        *,
        finish: Callable[[], None],
        leave: Callable[[bool], None],
        hit: Callable[[], None],
    ) -> None:
        self._up = up
        self._down = down
        self._finish = finish
        self._leave = leave
        self._hit = hit
        self._loop = asyncio.get_running_loop()
        self._rules: Mapping[str, HttpRule] = {}
        self._requests = Messages()
        self._responses = Messages()
        self._are_requests_raw = False
        self._are_responses_raw = False
        self._current: Exchange | None = None
        """The one whose request is being read."""
        self._open: deque[Exchange] = deque()
        """Those whose responses are to come, the oldest first."""
        self._late: Part | None = None
        """The head of the current request, where it does not go on yet."""
        self._is_switching = False
        """Whether other bytes than HTTP may follow, as the next response says."""
        self._for_up: list[bytes] = []
        self._for_down: list[bytes] = []
        """What the pipes get together: a body may have thousands of small chunks."""
        self._timer: asyncio.TimerHandle | None = None
        self._next_turn: asyncio.Handle | None = None
        self._has_more_responses = False
        """Whether responses are left for the next turn."""
        self._has_client_ended = False
        self._has_upstream_ended = False
        self._is_over = False

    def set_rules(self, rules: Mapping[str, HttpRule]) -> None:
        """Use these from now on. What waits because of a fault that has ended is released."""
        kept = [rule.fault for rule in rules.values()]
        for exchange in self._open:
            if any(fault not in kept for fault in exchange.faults):
                exchange.due = 0.0
        self._rules = rules
        self._go_on()

    def feed_request(self, data: bytes) -> None:
        self._requests.feed(data)
        self._read_requests()

    def end_requests(self) -> None:
        self._has_client_ended = True
        self._read_requests()

    def feed_response(self, data: bytes) -> None:
        self._responses.feed(data)
        self._read_responses()

    def end_responses(self) -> None:
        self._has_upstream_ended = True
        self._read_responses()

    def close(self) -> None:
        self._is_over = True
        for handle in (self._timer, self._next_turn):
            if handle is not None:
                handle.cancel()

    def _read_requests(self) -> None:
        for _ in range(PARTS_AT_ONCE):
            if self._is_over or self._is_holding_requests:
                break
            if self._are_requests_raw:
                self._hand_up(self._requests.take_rest())
                break
            if not self._requests.begin_request():
                break
            try:
                part = self._requests.next()
            except UnreadableError:
                self._give_up_requests()
                continue
            if part is not None:
                self._take_request_part(part)
            elif self._has_client_ended:
                self._give_up_requests()
            else:
                break
        else:
            self._rest()
        self._look_further()

    @property
    def _is_holding_requests(self) -> bool:
        return self._late is not None or self._is_switching

    def _give_up_requests(self) -> None:
        self._are_requests_raw = True
        if self._current is not None and self._current.is_answered_here:
            self._requests.take_rest()
            self._current.is_sent = self._current.closes = True
            self._read_responses()

    def _take_request_part(self, part: Part) -> None:
        if part.kind is Kind.HEAD:
            self._take_request(part)
            return
        exchange = cast("Exchange", self._current)
        if not exchange.is_answered_here:
            self._hand_up(part.raw)
        if part.kind is Kind.END:
            self._current = None
            exchange.is_sent = True
            self._is_switching = is_upgrade(exchange.request) and self._is_expected_from_upstream(exchange)
            self._read_responses()

    def _take_request(self, part: Part) -> None:
        request = cast("h11.Request", part.head)
        headers = list(request.headers)
        faults = [
            rule.fault
            for rule in list(self._rules.values())
            if rule.takes(request.method, request.target, headers)
        ]
        if faults:
            self._hit()
        exchange = self._current = Exchange(
            request,
            faults,
            due=self._loop.time() + sum(fault.delay for fault in faults),
            left=min((fault.truncate for fault in faults if fault.truncate is not None), default=None),
            headers=[pair for fault in faults for pair in fault.set_headers.items()],
        )
        self._open.append(exchange)
        if exchange.is_answered_here:
            # The client sends its body only after an interim response, which does not come.
            exchange.is_sent = exchange.closes = waits_for_continue(request)
            self._go_on()
        elif any(fault.delay for fault in faults):
            self._late = part
            self._go_on()
        else:
            self._hand_up(part.raw)

    def _is_expected_from_upstream(self, exchange: Exchange) -> bool:
        return not exchange.is_answered_here and any(exchange is each for each in self._open)

    def _read_responses(self) -> None:
        self._has_more_responses = False
        for _ in range(PARTS_AT_ONCE):
            if self._is_over:
                break
            exchange = self._open[0] if self._open else None
            if exchange is not None and exchange.is_answered_here:
                if not exchange.is_sent or self._is_early(exchange):
                    break
                self._answer(exchange)
                continue
            if exchange is None or self._are_responses_raw:
                self._pass_rest_down()
                break
            if not self._responses.begin_response(exchange.request):
                break
            try:
                part = self._responses.next()
            except UnreadableError:
                self._give_up()
                continue
            if part is None:
                break
            self._take_response_part(exchange, part)
        else:
            self._has_more_responses = True
            self._rest()
        self._look_further()

    def _pass_rest_down(self) -> None:
        if rest := self._responses.take_rest():
            self._hand_down(rest)
            if not self._are_responses_raw:
                self._give_up()  # nobody has asked for this

    def _rest(self) -> None:
        """Go on after the other connections have had their turn."""
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._next_turn = None
        self._go_on()

    def _take_response_part(self, exchange: Exchange, part: Part) -> None:
        raw = part.raw
        if part.kind in {Kind.HEAD, Kind.INTERIM}:
            head = cast("h11.Response | h11.InformationalResponse", part.head)
            if is_switch(exchange.request, head):
                self._hand_down(raw)
                self._give_up()
                return
            if part.kind is Kind.HEAD and exchange.headers:
                raw = set_headers(raw, exchange.headers)
        elif part.kind is Kind.BODY and exchange.left is not None:
            if len(raw) > exchange.left:
                self._hand_down(raw[: exchange.left])
                self._end()
                return
            exchange.left -= len(raw)
        self._hand_down(raw)
        if part.kind is Kind.END:
            self._open.popleft()
            self._is_switching = False
            self._read_requests()

    def _answer(self, exchange: Exchange) -> None:
        self._open.popleft()
        answer, is_last = exchange.write_answer()
        self._hand_down(answer)
        if is_last:
            self._end()

    def _end(self) -> None:
        self._hand_on()
        self.close()
        self._finish()

    def _give_up(self) -> None:
        """From here on, pass on all bytes as they arrive."""
        self._are_requests_raw = self._are_responses_raw = True
        self._open.clear()
        self._is_switching = False
        late, self._late = self._late, None
        if late is not None:
            self._hand_up(late.raw)
        self._read_requests()

    def _go_on(self) -> None:
        """Do what is due, and set a timer for the rest."""
        if self._is_over:
            return
        late, exchange = self._late, self._current
        if late is not None and exchange is not None and not self._is_early(exchange):
            self._late = None
            self._hand_up(late.raw)
        self._read_requests()
        self._read_responses()
        if self._timer is not None:
            self._timer.cancel()
        waiting = [each.due for each in self._open if self._is_early(each)]
        self._timer = self._loop.call_at(min(waiting), self._go_on) if waiting and not self._is_over else None

    def _is_early(self, exchange: Exchange) -> bool:
        return exchange.due > self._loop.time()

    def _hand_up(self, data: bytes) -> None:
        self._for_up.append(data)

    def _hand_down(self, data: bytes) -> None:
        self._for_down.append(data)

    def _hand_on(self) -> None:
        for pipe, parts in ((self._up, self._for_up), (self._down, self._for_down)):
            data = b"".join(parts)
            parts.clear()
            if data:
                pipe.feed(data)

    def _look_further(self) -> None:
        """Check for the end of the data, how much waits here, and whether anything is left to do."""
        if self._is_over:
            return
        self._hand_on()
        if self._is_over:  # by a fault that ends the connection after so many bytes
            return
        if self._has_client_ended and not self._is_holding_requests and not self._requests.size:
            self._up.feed_end()
        is_answering = bool(self._open) and self._open[0].is_answered_here
        if self._has_upstream_ended and not is_answering and not self._has_more_responses:
            if rest := self._responses.take_rest():
                self._down.feed(rest)
            self._down.feed_end()
        self._up.set_held(self._requests.size + (len(self._late.raw) if self._late else 0))
        self._down.set_held(self._responses.size)
        is_raw = self._are_requests_raw and self._are_responses_raw
        is_between = (
            self._requests.is_between and self._responses.is_between and not self._is_holding_requests
        )
        if is_between and not self._open and (is_raw or not self._rules):
            self.close()
            self._leave(is_raw)
