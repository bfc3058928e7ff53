"""A suite as people write it, for tests."""

from pathlib import Path

from scenarios.drivers.platform import fault_arguments, step_arguments
from scenarios.suites.cell_variables import find_cell_variables
from scenarios.suites.documents import KnownNames, SuiteDocument, parse_suite
from scenarios.suites.faults import list_scenarios

SHOP = """\
apiVersion: coordinator/v1
kind: Suite
metadata: {name: shop, title: What the shop survives}
spec:
  service: shop
  healthy: {probe: {http: {service: shop, path: /price}}, expect: {status: 200, elapsed: {below: 500ms}}}
  load: {rate: 20/s, request: {http: {service: shop, path: /price}}}
  depends_on:
    - {service: shop-db, kind: postgresql, must: fail}
    - {service: cache, kind: redis, must: survive}
  recover_within: 10s
  fresh_for: 30d
"""
CATALOGUE = Path(__file__).parents[4] / "scenarios" / "catalogue"
VARIABLES = {name: find_cell_variables((CATALOGUE / f"{name}.yaml").read_text()) for name in list_scenarios()}
KNOWN = KnownNames(["shop", "shop-db", "cache"], ["shop-1"], VARIABLES)


def parse(text: str = SHOP) -> SuiteDocument:
    return parse_suite(text, step_arguments(), fault_arguments(), known=KNOWN)
