"""A person's way through single sign-on, for the tests of its subjects."""

from urllib.parse import urlsplit

import requests
from django.http import HttpResponse
from django.test import Client

HOME = "/admin/"
LOGIN = "/admin/login/"


def log_in(client: Client, **query: str) -> HttpResponse:
    """To the provider and back, as a browser goes."""
    there = client.get("/oidc/login/", query)
    back = requests.get(there["Location"], allow_redirects=False, timeout=10).headers["Location"]
    parts = urlsplit(back)
    return client.get(f"{parts.path}?{parts.query}")  # type: ignore[return-value]


def read_login_page(client: Client) -> str:
    return client.get(LOGIN).content.decode()


def call_api(secret: str) -> int:
    return Client().get("/api/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code
