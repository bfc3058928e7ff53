"""Services, catalogue and a suite in the database, for tests."""

from pathlib import Path

from scenarios.drivers.documents import read_document
from scenarios.library.scenarios import save_scenario
from scenarios.models import Service, Suite
from scenarios.suites.documents import read_suite
from scenarios.suites.faults import FAULTS
from scenarios.suites.storage import save_suite

CATALOGUE = Path(__file__).parents[4] / "scenarios" / "catalogue"
PROXY = "http://127.0.0.1:8474"
TEXT = """\
apiVersion: coordinator/v1
kind: Suite
metadata: {name: shop, title: What the shop survives}
spec:
  service: shop
  healthy: {probe: {http: {service: shop, path: /price}}, expect: {status: 200}}
  depends_on:
    - {service: shop-db, kind: postgresql, must: fail, faults: [slow, hanging, cpu]}
    - {service: cache, kind: redis, must: survive, faults: [refused, paused]}
  recover_within: 10s
"""


def register_services() -> None:
    Service.objects.create(name="shop", base_url="http://127.0.0.1:1")
    Service.objects.create(name="shop-db", base_url="postgres://127.0.0.1:2", proxy=PROXY)
    Service.objects.create(name="cache", base_url="redis://127.0.0.1:3", proxy=PROXY)


TWO_CELLS = TEXT.replace("[slow, hanging, cpu]", "[slow]").replace("[refused, paused]", "[refused]")
SLOW, REFUSED = "dependency-slow", "dependency-refuses-connections"


def save_catalogue(*names: str) -> None:
    """These scenarios, or all that suites use."""
    for name in names or sorted({name for fault in FAULTS for name in fault.scenarios.values()}):
        save_scenario(read_document((CATALOGUE / f"{name}.yaml").read_text()))


def store_suite(text: str = TEXT) -> Suite:
    return save_suite(read_suite(text))
