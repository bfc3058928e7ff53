"""The page that finds services of compose projects and clusters, and registers none by itself."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from scenarios.models import Service
from tests.integration.scenarios.planned_rows import someone
from tests.servers.listing_servers import LISTED, listing_cluster, listing_engine

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:scenarios_service_discover")
PART = reverse("admin:scenarios_service_discovered")
ADD = reverse("admin:scenarios_service_add")


@pytest.fixture
def engine(settings: Any) -> Iterator[None]:
    with listing_engine(LISTED) as url:
        settings.CONTAINER_ENGINES = {"local": url}
        yield


@pytest.fixture
def cluster(settings: Any, tmp_path: Path) -> Iterator[None]:
    with listing_cluster(tmp_path) as path:
        settings.KUBERNETES_CONFIG = path
        yield


def read(client: Client, address: str, **words: str) -> str:
    return html.unescape(client.get(address, words or None).content.decode())


def test_page_names_each_place_where_services_may_be(
    admin_client: Client, engine: None, cluster: None, settings: Any
) -> None:
    settings.KUBERNETES_NAMESPACES = ("shop",)
    page = read(admin_client, PAGE)
    assert f'hx-get="{PART}?engine=local"' in page
    assert f'hx-get="{PART}?namespace=shop&cluster=test"' in page
    assert f'hx-get="{PART}?namespace=till&cluster=test"' in read(admin_client, PAGE, namespace="till")
    assert PAGE in read(admin_client, reverse("admin:scenarios_service_changelist"))


def test_page_says_what_to_set_where_no_place_is_known(admin_client: Client) -> None:
    assert "Set CONTAINER_ENGINES" in read(admin_client, PAGE)
    assert "unknown container engine 'local'" in read(admin_client, PART, engine="local")
    assert "no cluster is configured" in read(admin_client, PART, namespace="shop")


def test_services_of_an_engine_lead_to_a_form_that_is_filled_in(admin_client: Client, engine: None) -> None:
    Service.objects.create(name="till", base_url="http://localhost:18000")
    part = read(admin_client, PART, engine="local")
    assert "Registered as till" in part
    address = f"{ADD}?{urlencode({'name': 'shop-web-5432', 'base_url': 'postgres://10.199.0.7:5432'})}"
    assert f'href="{address}"' in part
    form = read(admin_client, address)
    assert 'value="shop-web-5432"' in form
    assert 'value="postgres://10.199.0.7:5432"' in form
    assert Service.objects.count() == 1


def test_services_of_a_namespace_lead_to_it_too(admin_client: Client, cluster: None, settings: Any) -> None:
    Service.objects.create(name="accounts", base_url="postgres://books.shop.svc.cluster.local:5432")
    part = read(admin_client, PART, namespace="shop", cluster="test")
    words = {"name": "till", "base_url": "http://till.shop.svc.cluster.local:80"}
    assert f'href="{ADD}?{urlencode(words)}"' in part
    assert "Registered as accounts" in part
    settings.KUBERNETES_NAMESPACES = ("other",)
    assert "KUBERNETES_NAMESPACES names other" in read(admin_client, PART, namespace="shop")
    assert "is not a DNS label" in read(admin_client, PART, namespace="shop/pods\0")
    assert "unknown cluster 'west'" in read(admin_client, PART, namespace="other", cluster="west")
    assert Service.objects.count() == 1


def test_only_those_who_may_register_services_may_look(client: Client, engine: None) -> None:
    client.force_login(someone("viewer", "view_service"))
    for address in (PAGE, f"{PART}?engine=local"):
        assert client.get(address).status_code == 403
    assert PAGE not in read(client, reverse("admin:scenarios_service_changelist"))
