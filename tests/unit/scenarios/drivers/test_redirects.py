"""Which redirects lead to another origin."""

import pytest
from yarl import URL

from scenarios.drivers.redirects import Hop

FIRST = Hop("POST", URL("http://shop.test/x"), {"X-Api-Key": "k", "Accept": "a"}, b"body")


@pytest.mark.parametrize(
    "location", ["http://shop.test:80/z", "http://SHOP.TEST/z", "/z", "?q=1", "//shop.test/z"]
)
def test_spellings_of_one_origin_are_equal(location: str) -> None:
    hop = FIRST.next(307, location, "shop")
    assert hop is not None
    assert (hop.method, hop.headers, hop.body) == ("POST", FIRST.headers, b"body")


@pytest.mark.parametrize(
    "location",
    ["https://shop.test/z", "http://shop.test:8080/z", "//other.test/z", "http://shop.test@other.test/"],
)
def test_scheme_port_and_host_distinguish_origins(location: str) -> None:
    hop = FIRST.next(307, location, "shop")
    assert hop is not None
    assert hop.headers == {"Accept": "a"}
