"""The guide: the pages of docs/, read in the admin."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.control_room import guide

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", guide.PAGES)
def test_each_page_is_read_by_anyone_who_may_log_in(client: Client, name: str) -> None:
    client.force_login(User.objects.create_user("reader", is_staff=True))
    answer = client.get(reverse("admin:guide", args=[name]))
    assert answer.status_code == 200
    assert "style=" not in answer.content.decode().split("<article")[1].split("</article>")[0]


@pytest.mark.parametrize("name", guide.PAGES)
def test_each_link_within_the_guide_leads_to_a_heading_that_is_there(name: str) -> None:
    for target in re.findall(r'href="([^"]+)"', guide.read_page(name).html):
        address, _, fragment = target.partition("#")
        if address.startswith("http"):
            continue
        there = address.rstrip("/").rpartition("/")[2] or name
        assert there in guide.PAGES, target
        assert not fragment or f'id="{fragment}"' in guide.read_page(there).html, target


def test_a_page_that_is_not_there_is_404_and_names_those_that_are(admin_client: Client) -> None:
    assert admin_client.get(reverse("admin:guide", args=["secrets"])).status_code == 404


def test_a_stranger_is_asked_to_log_in(client: Client) -> None:
    assert client.get(reverse("admin:guide_index")).status_code == 302
