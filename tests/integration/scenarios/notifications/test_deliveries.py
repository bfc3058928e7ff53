"""A delivery is claimed by one sender, tried again for three days, and then given up in sight of a person."""

from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from scenarios.domain.webhooks import DeliveryState
from scenarios.models import Delivery, Webhook
from scenarios.notifications import deliveries, webhooks
from scenarios.runs import commands as run_commands
from scenarios.supervision.gauges import read_gauges
from tests.integration.scenarios.runs.outside_rows import a_message, a_webhook
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook() -> Webhook:
    return a_webhook()


def claimed(webhook: Webhook) -> Delivery:
    delivery = deliveries.claim_next(webhook.pk)
    assert delivery is not None
    return delivery


def everything() -> QuerySet[Delivery]:
    return Delivery.objects.all()


def test_only_one_of_two_senders_claims_a_delivery(webhook: Webhook) -> None:
    a_message(webhook)
    seen_by_both = Delivery.objects.get()
    assert deliveries.claim(Delivery.objects.get())
    assert not deliveries.claim(seen_by_both)
    assert deliveries.claim_next(webhook.pk) is None


def test_late_result_of_an_expired_claim_is_ignored(webhook: Webhook) -> None:
    a_message(webhook)
    late = claimed(webhook)
    everything().update(next_try_at=timezone.now())
    claimed(webhook)
    assert not deliveries.record_arrival(late, 200)
    assert Delivery.objects.get().state == DeliveryState.PENDING


def test_retry_delays_grow(webhook: Webhook) -> None:
    a_message(webhook)
    first = claimed(webhook)
    assert deliveries.record_failure(first, "refused", status=503) == DeliveryState.PENDING
    assert deliveries.claim_next(webhook.pk) is None
    everything().update(next_try_at=timezone.now())
    second = claimed(webhook)
    assert (second.message_id, second.payload) == (first.message_id, first.payload)
    assert 4 < deliveries.compute_delay(1, 0) < 6
    assert 50 < deliveries.compute_delay(2, 0) < 70
    assert deliveries.compute_delay(1, wait=600) == 600
    assert deliveries.compute_delay(1, wait=1e9) == deliveries.MAX_DELAY


def after_the_last_try(webhook: Webhook) -> Delivery:
    a_message(webhook)
    everything().update(tries=deliveries.MAX_TRIES - 1)
    assert deliveries.record_failure(claimed(webhook), "refused", status=500) == DeliveryState.FAILED
    webhook.refresh_from_db()
    return Delivery.objects.latest("pk")


def test_webhook_that_accepted_nothing_is_disabled(webhook: Webhook) -> None:
    failed = after_the_last_try(webhook)
    assert (failed.state, failed.status, failed.reason) == (DeliveryState.FAILED, 500, "refused")
    assert not webhook.is_enabled
    assert "has accepted nothing since" in webhook.disabled_because
    a_message(webhook)
    assert deliveries.list_due_receivers() == []


def test_webhook_that_accepted_something_stays_enabled(webhook: Webhook) -> None:
    a_message(webhook)
    deliveries.record_arrival(claimed(webhook), 200)
    everything().update(ended_at=timezone.now() + timedelta(hours=1))
    after_the_last_try(webhook)
    assert webhook.is_enabled


def test_answer_410_disables_the_webhook(webhook: Webhook) -> None:
    a_message(webhook)
    assert deliveries.record_failure(claimed(webhook), "gone", status=410) == DeliveryState.FAILED
    webhook.refresh_from_db()
    assert (webhook.is_enabled, "410" in webhook.disabled_because) == (False, True)


def test_deliveries_can_be_sent_again_by_a_person(webhook: Webhook) -> None:
    a_message(webhook)
    deliveries.record_arrival(claimed(webhook), 200)
    assert deliveries.send_again(everything()) == 1
    again = claimed(webhook)
    assert deliveries.send_again(everything()) == 0  # it is being sent this moment
    again.tries = deliveries.MAX_TRIES - 1
    everything().update(tries=again.tries, next_try_at=timezone.now() + timedelta(hours=1))
    assert deliveries.send_again(everything()) == 1
    assert claimed(webhook).tries == deliveries.MAX_TRIES


def test_messages_of_a_run_are_sent_in_order_until_one_fails(webhook: Webhook) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    first, second = (a_message(webhook, run) for _ in range(2))
    assert claimed(webhook) == first
    assert deliveries.claim_next(webhook.pk) is None
    other = a_message(webhook, run_commands.start_run(DOCUMENT, {}, origin="cli"))
    assert claimed(webhook) == other
    first.refresh_from_db()
    deliveries.record_failure(first, "refused")
    assert claimed(webhook) == second


def test_test_messages_are_tried_once_and_disable_nothing(webhook: Webhook) -> None:
    webhooks.send_test(webhook)
    assert deliveries.record_failure(claimed(webhook), "refused", status=503) == DeliveryState.FAILED
    webhook.refresh_from_db()
    assert webhook.is_enabled


def test_old_deliveries_are_deleted_in_batches(webhook: Webhook) -> None:
    for _ in range(3):
        a_message(webhook)
    before = timezone.now()
    young = a_message(webhook)
    assert deliveries.prune_deliveries(before, at_most=2) == 2
    assert deliveries.prune_deliveries(before, at_most=2) == 1
    assert Delivery.objects.get() == young


def test_gauge_shows_the_age_of_the_oldest_message(webhook: Webhook) -> None:
    assert waited() == 0
    a_message(webhook)
    everything().update(created_at=timezone.now() - timedelta(minutes=20))
    assert 1200 <= waited() < 1230
    Webhook.objects.update(is_enabled=False)
    assert waited() == 0


def test_gauge_is_zero_for_a_message_dated_in_the_future(webhook: Webhook) -> None:
    a_message(webhook)
    everything().update(created_at=timezone.now() + timedelta(minutes=10))
    assert waited() == 0


def waited() -> float:
    samples = {sample.name: sample.value for sample in read_gauges()}
    return samples["oldest_undelivered_message_seconds"]
