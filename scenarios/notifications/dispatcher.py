"""Sends due deliveries concurrently: no run, no undo and no other receiver waits for a receiver."""

import asyncio
import logging
import time
from functools import partial

from django.db import DatabaseError

from scenarios.database.connections import DatabaseThread
from scenarios.database.errors import is_away
from scenarios.domain import outages
from scenarios.domain.errors import ScenarioError
from scenarios.domain.webhooks import DeliveryState, Message
from scenarios.models import Delivery
from scenarios.notifications import deliveries, senders, traces
from scenarios.published.metrics import GRAFANA_ANNOTATIONS, RUN_TRACES, WEBHOOK_DELIVERIES

logger = logging.getLogger(__name__)

DATABASE = DatabaseThread("deliveries")
# A receiver that takes longer than this is slow, and takes the place of no other.
QUICK_SECONDS = 1.0
MAX_QUICK_RECEIVERS = 50
# Of receivers that are not known to be quick.
MAX_CONCURRENT_RECEIVERS = 500
RESULTS = {DeliveryState.PENDING: "failed", DeliveryState.FAILED: "given_up"}
COUNTERS = {Message.ANNOTATION: GRAFANA_ANNOTATIONS, Message.TRACE: RUN_TRACES}


class Dispatcher:
    """Several dispatchers may run, because each delivery is claimed by one. Each sends one message at a time
    to a receiver.
    """

    def __init__(self) -> None:
        self._busy: dict[deliveries.Receiver, asyncio.Task[None]] = {}
        self._begun: dict[deliveries.Receiver, float] = {}
        self._was_slow: dict[deliveries.Receiver, bool] = {}
        """How they were the last time. Those that were quick come first, those that were slow last."""
        self._is_over = False

    async def look(self) -> None:
        """Start tasks that send what is due."""
        due = await DATABASE.call(deliveries.list_due_receivers)
        waiting = [receiver for receiver in due if receiver not in self._busy]
        places = self._count_places()
        for receiver in sorted(waiting, key=self._rank)[:places]:
            if self._rank(receiver) and len(self._busy) >= MAX_CONCURRENT_RECEIVERS:
                break
            self._begun[receiver] = time.monotonic()
            task = self._busy[receiver] = asyncio.create_task(self._send_all(receiver))
            task.add_done_callback(partial(self._is_done, receiver))

    def _rank(self, receiver: deliveries.Receiver) -> int:
        """0 for a receiver that was quick, 1 for an unknown one, 2 for a slow one."""
        was_slow = self._was_slow.get(receiver)
        return 1 if was_slow is None else 2 * was_slow

    def _count_places(self) -> int:
        """How many more receivers may be sent to now."""
        soon = time.monotonic() - QUICK_SECONDS
        return max(0, MAX_QUICK_RECEIVERS - sum(begun > soon for begun in self._begun.values()))

    def under_way(self) -> list[asyncio.Task[None]]:
        return list(self._busy.values())

    async def settle(self) -> None:
        """Wait for the messages that are being sent, and start no more."""
        self._is_over = True
        if self._busy:
            await asyncio.wait(self.under_way())
        await DATABASE.close()

    def _is_done(self, receiver: deliveries.Receiver, _task: asyncio.Task[None]) -> None:
        del self._busy[receiver], self._begun[receiver]

    async def _send_all(self, receiver: deliveries.Receiver) -> None:
        try:
            while not self._is_over and (delivery := await DATABASE.call(deliveries.claim_next, receiver)):
                begun = time.monotonic()
                await send(delivery)
                self._was_slow[receiver] = time.monotonic() - begun >= QUICK_SECONDS
        except DatabaseError as error:  # the delivery will be sent again
            if is_away(error):
                outages.database.note_failure(error)
            else:
                logger.exception("Could not record a delivery; it will be sent again")


async def send(delivery: Delivery) -> DeliveryState:
    """Send a claimed delivery and record the result."""
    try:
        status = await _send_once(delivery)
    except senders.NotAccepted as error:
        failure = partial(
            deliveries.record_failure, delivery, str(error), status=error.status, wait=error.wait
        )
    except ScenarioError as error:
        failure = partial(deliveries.record_failure, delivery, str(error))
    except Exception as error:
        # No error may make this delivery be tried for ever, or keep the next ones from being sent.
        logger.exception("Could not send a message")
        failure = partial(deliveries.record_failure, delivery, f"sending failed with {type(error).__name__}")
    else:
        await DATABASE.call(deliveries.record_arrival, delivery, status)
        count_result(delivery, "delivered")
        return DeliveryState.DELIVERED
    state = await DATABASE.call(failure)
    logger.warning("%s was not accepted by %s, try %s", delivery.message, delivery.receiver, delivery.tries)
    count_result(delivery, RESULTS[state])
    return state


async def _send_once(delivery: Delivery) -> int:
    if delivery.message != Message.TRACE:
        return await senders.send(delivery)
    assert delivery.run is not None  # noqa: S101 - a trace is deleted with its run
    return await senders.export(await DATABASE.call(traces.build_requests, delivery.run))


def count_result(delivery: Delivery, result: str) -> None:
    counter = COUNTERS.get(Message(delivery.message), WEBHOOK_DELIVERIES)
    counter.labels(result=result).inc()
