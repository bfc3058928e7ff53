"""The demo of `manage.py up` and compose.demo.yaml: services, their fault proxy, and the first scenario."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from coordinator_site.local_system import Ports
from coordinator_site.setting_paths import kept_secret_key
from scenarios.domain.errors import StepImpossible
from scenarios.drivers import documents
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.library import services as registered_services
from scenarios.library.scenarios import save_scenario
from scenarios.models import DEFAULT_PROXY_SECRET, Scenario, Suite
from scenarios.suites.documents import read_suite
from scenarios.suites.storage import save_suite

CATALOGUE = settings.BASE_DIR / "scenarios" / "catalogue"
SUITE = Path(__file__).parent / "suites" / "exchange.yaml"
FIRST_SCENARIO = "dependency-hangs"
# Short, because somebody waits for it.
FIRST_VARIABLES = {"usual": "200ms", "limit": "1s", "hold": "2s", "steady": "1s"}
EXCHANGE = (
    "Demo: accepts orders at /orders, and shows the prices of the price feed at /prices. To break it, POST to"
    " /chaos/latency with {delay_ms: 500}, to /chaos/errors with {rate: 0.5} or to /chaos/outage; DELETE"
    " undoes it."
)
RISK_MONITOR = "Demo: watches the exchange and lists alerts at /alerts."
PRICE_FEED = (
    "Demo: sends prices to the exchange. It cannot break itself, so its fault proxy breaks the connections of"
    " the exchange to it."
)


def import_catalogue() -> None:
    """Store the shipped scenarios. An existing one may have been edited, so it is not overwritten."""
    for file in sorted(CATALOGUE.glob("*.yaml")):
        if not Scenario.objects.filter(name=file.stem).exists():
            save_scenario(documents.read_document(file.read_bytes()))


@dataclass(frozen=True, slots=True)
class Addresses:
    """`listener` is the proxy's, as the proxy calls it; it needs no name where the proxy has no other."""

    exchange: str
    risk_monitor: str
    price_feed: str
    proxy: str
    listener: str = ""


def find_local_addresses(ports: Ports) -> Addresses:
    return Addresses(
        ports.get_address("exchange"),
        ports.get_address("risk_monitor"),
        ports.get_address("price_feed"),
        ports.get_address("proxy_control"),
        f"127.0.0.1:{ports.price_feed_proxy}",
    )


def register_services(addresses: Addresses) -> None:
    register = registered_services.register_service
    register("exchange", addresses.exchange, EXCHANGE)
    register("risk-monitor", addresses.risk_monitor, RISK_MONITOR)
    register(
        "price-feed",
        addresses.price_feed,
        PRICE_FEED,
        proxy=addresses.proxy,
        proxy_listener=addresses.listener,
    )


def save_demo_suite() -> None:
    """Store the suite of the demo services, unless one of its name is stored, which may have been edited."""
    document = read_suite(SUITE.read_text())
    if not Suite.objects.filter(name=document.name).exists():
        save_suite(document)


def find_proxy_token() -> str:
    """The token of fault proxies: the configured one, or one that is kept in SCENARIO_SECRET_DIR.

    Raises:
        OSError: it cannot be kept there.
    """
    try:
        return ConfiguredSecrets().secret(DEFAULT_PROXY_SECRET)
    except StepImpossible:
        settings.SCENARIO_SECRET_DIR.mkdir(mode=0o700, exist_ok=True)
        return kept_secret_key(settings.SCENARIO_SECRET_DIR / DEFAULT_PROXY_SECRET)
