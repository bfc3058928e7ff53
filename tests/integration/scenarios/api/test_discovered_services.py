"""Services of compose projects, as an engine lists them, over the API."""

from collections.abc import Iterator
from typing import Any

import pytest

from scenarios.models import Service
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.servers.listing_servers import LISTED, listing_engine

pytestmark = pytest.mark.django_db
PLACE = "discovered-services"


@pytest.fixture
def engine(settings: Any) -> Iterator[None]:
    with listing_engine(LISTED) as url:
        settings.CONTAINER_ENGINES = {"local": url}
        yield


def test_running_services_of_projects_are_listed_with_their_addresses(ci: Program, engine: None) -> None:
    Service.objects.create(name="till", base_url="http://localhost:18000")
    found = ci.get(f"{PLACE}?project=shop").json()
    assert found["failures"] == []
    database, web = found["services"]
    whole = {"engine": "local", "project": "shop", "service": "web", "containers": ["shop-web-1"]}
    urls = ["http://127.0.0.1:18000", "http://10.199.0.7:8000"]
    assert web == {"name": "shop-web-8000", "port": 8000, "urls": urls, "registered": "till", **whole}
    assert database["urls"] == ["postgres://10.199.0.7:5432"]
    assert (database["name"], database["registered"]) == ("shop-web-5432", "")
    assert ci.get(f"{PLACE}?project=other").json()["services"] == []
    assert Service.objects.count() == 1


def test_an_engine_that_cannot_be_asked_is_a_sentence(ci: Program, settings: Any) -> None:
    settings.CONTAINER_ENGINES = {"local": "unix:///run/nothing/socket"}
    (sentence,) = ci.get(PLACE).json()["failures"]
    assert sentence.startswith("engine 'local' cannot be reached: there is no such socket")
    (sentence,) = ci.get(f"{PLACE}?engine=far").json()["failures"]
    assert sentence.startswith("unknown container engine 'far'; CONTAINER_ENGINES names local")
    settings.CONTAINER_ENGINES = {}
    assert ci.get(PLACE).json()["failures"] == ["no container engine is known: set CONTAINER_ENGINES"]


def test_only_those_who_may_register_services_may_ask() -> None:
    viewer = program(person("scenarios.view_service"), "read")
    read_problem(viewer.get(PLACE), 403)
