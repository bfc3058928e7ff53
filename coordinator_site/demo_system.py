"""What `manage.py up` knows of its demo: the services with their fault proxy, and the first scenario."""

from pathlib import Path

from django.conf import settings

from coordinator_site.local_system import Ports
from coordinator_site.setting_paths import kept_secret_key
from scenarios.domain.errors import StepImpossible
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.library import services as registered_services
from scenarios.models import DEFAULT_PROXY_SECRET, Suite
from scenarios.suites.documents import read_suite
from scenarios.suites.storage import save_suite

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


def register_services(ports: Ports) -> None:
    register = registered_services.register_service
    register("exchange", ports.get_address("exchange"), EXCHANGE)
    register("risk-monitor", ports.get_address("risk_monitor"), RISK_MONITOR)
    register(
        "price-feed",
        ports.get_address("price_feed"),
        PRICE_FEED,
        proxy=ports.get_address("proxy_control"),
        proxy_listener=f"127.0.0.1:{ports.price_feed_proxy}",
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
