"""Prints how many series 300 invented methods and 300 invented paths add.

MEASURED_BY="this product" python -m benchmarks.peers.attack
"""

import random
import string
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest
from django.test import RequestFactory
from prometheus_client import REGISTRY, generate_latest

from benchmarks.peers import site
from benchmarks.peers.names import OURS

OF_EACH = 300


def requests() -> Iterator[HttpRequest]:
    dice = random.Random(1)
    factory = RequestFactory()

    def word(letters: str) -> str:
        return "".join(dice.choices(letters, k=8))

    for _ in range(OF_EACH):
        yield factory.generic(word(string.ascii_uppercase), "/")
        yield factory.get(f"/{word(string.ascii_lowercase)}")


def series() -> int:
    if site.MEASURED_BY == OURS:
        from metrics_app.backend import get_metrics  # noqa: PLC0415 - makes the adapter

        text = get_metrics().get_http_handler()()
    else:
        text = generate_latest(REGISTRY)
    return sum(not line.startswith(b"#") for line in text.splitlines())


def main() -> None:
    site.configure()
    answer = site.handler(settings.MIDDLEWARE)
    answer(RequestFactory().get("/"))
    before = series()
    for request in requests():
        answer(request)
    print(series() - before)


if __name__ == "__main__":
    main()
