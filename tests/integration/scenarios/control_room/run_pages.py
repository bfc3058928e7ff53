"""The pages of a run, as a browser asks for them."""

import re

from django.test import Client
from django.urls import reverse

from scenarios.models import Run


def address(name: str, run: Run) -> str:
    return reverse(f"admin:scenarios_run_{name}", args=[run.pk])


def page(client: Client, run: Run) -> str:
    return client.get(address("change", run)).content.decode()


def next_poll(content: str) -> str:
    found = re.search(r'id="poll" hx-get="([^"]+)"', content)
    return found[1] if found else ""
