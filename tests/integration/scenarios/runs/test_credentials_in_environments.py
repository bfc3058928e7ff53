"""An environment has its own credentials: those of the registered service belong to its address."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from scenarios.domain.errors import StepImpossible
from scenarios.domain.outcomes import Outcome
from scenarios.drivers.platform import SitePlatform, pin_places
from scenarios.library import environments
from scenarios.library import services as registered_services
from scenarios.models import Environment, Event, Fault, Run
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.reaching import action, carried_out, document
from tests.servers.recording import recording

pytestmark = pytest.mark.django_db(transaction=True)

CONTROL, ELSEWHERE = "http://127.0.0.1:8474", "http://127.0.0.1:8475"
TOKEN = "correct-horse-of-staging"
STEP = {"http": {"service": "shop", "method": "POST"}}
UNDO = {"http": {"service": "shop", "method": "DELETE"}}


@pytest.fixture(autouse=True)
def _shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", "the usual one")
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_OF_PRODUCTION", "that of production")
    monkeypatch.setenv("SCENARIO_SECRET_SERVICE_SHOP", "that of production")
    monkeypatch.setenv("SCENARIO_SECRET_SERVICE_STAGING", TOKEN)
    registered_services.register_service(
        "shop",
        "http://127.0.0.1:1",
        proxy=CONTROL,
        proxy_secret="FAULT_PROXY_OF_PRODUCTION",
        auth={"bearer": "${secret:SERVICE_SHOP}"},
    )


def put(url: str = "http://127.0.0.1:2", **words: Any) -> Environment:
    fields = {"services": {"shop": {"base_url": url, **words}}}
    return environments.put_environment("staging", fields, by=None)


def test_a_fault_proxy_gets_the_token_of_its_own_secret() -> None:
    assert SitePlatform().proxy_of("shop").token == "that of production"
    put(proxy=ELSEWHERE)
    proxy = SitePlatform(environment="staging").proxy_of("shop")
    assert (proxy.control, proxy.token) == (ELSEWHERE, "the usual one")
    put(proxy=ELSEWHERE, proxy_secret="FAULT_PROXY_OF_STAGING")
    with pytest.raises(StepImpossible, match="'FAULT_PROXY_OF_STAGING' is missing"):
        SitePlatform(environment="staging").proxy_of("shop")
    _addresses, pinned = pin_places(["shop@staging"])
    assert pinned["proxies"]["shop@staging"]["secret"] == "FAULT_PROXY_OF_STAGING"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"proxy": CONTROL, "proxy_secret": "DATABASE"}, "shop.proxy_secret: Begin the name with"),
        ({"proxy_listener": "127.0.0.1:5433"}, "shop.proxy_listener: a listener needs the fault proxy"),
    ],
)
def test_words_of_a_proxy_that_do_not_fit_are_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        put(**words)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("words", "sent"),
    [({}, ""), ({"auth": {"bearer": "${secret:SERVICE_STAGING}"}}, f"Bearer {TOKEN}")],
)
def test_requests_have_the_credentials_of_the_environment_which_are_stored_nowhere(
    words: dict[str, Any], sent: str
) -> None:
    with recording() as server:
        server.echoes = True
        put(server.url, **words)
        source = document(actions=[action(STEP, UNDO)])
        ended = carried_out(run_commands.start_run(source, {}, origin="cli", environment="staging"))
        assert ended.outcome == Outcome.PASSED, ended.reason
        assert {request.headers.get("Authorization", "") for request in server.requests} == {sent}
    assert TOKEN not in str([list(model.objects.values()) for model in (Run, Event, Fault, Environment)])
