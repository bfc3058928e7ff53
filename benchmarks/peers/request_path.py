"""Prints the microseconds of processor time that measuring adds to a request.

    python -m benchmarks.peers.request_path --rounds 100

In each short round the site answers with and without the middleware, in an order that alternates, and
what is added is the difference within the round: a machine that changes its pace changes both.
"""

import argparse
import gc
import statistics

from django.conf import settings
from django.test import RequestFactory

from benchmarks.peers import site

REQUESTS = 300


def added(rounds: int) -> float:
    """The median over the rounds."""
    with_metrics, without = site.handler(settings.MIDDLEWARE), site.handler([])
    factory = RequestFactory()
    differences = []
    for number in range(rounds + 1):
        took = {}
        variants = [with_metrics, without]
        for answer in variants if number % 2 else reversed(variants):
            requests = [factory.get("/") for _ in range(REQUESTS)]
            took[answer is with_metrics] = site.seconds_per_request(answer, requests)
        differences.append(took[True] - took[False])
    return statistics.median(differences[1:]) * 1e6  # the first round creates the series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    site.configure()
    gc.collect()
    print(added(arguments.rounds))


if __name__ == "__main__":
    main()
