"""The package's pages tell the truth: their code runs, in the order in which it stands there."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from metrics_app import current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from tests.exposition import value

DOCS = Path(__file__).resolve().parents[3] / "metrics_app" / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.fixture
def adapter(declarations: None, monkeypatch: pytest.MonkeyPatch) -> InMemoryMetricsAdapter:
    made = InMemoryMetricsAdapter()
    monkeypatch.setattr(current, "adapter", made)
    monkeypatch.setattr(current, "_scrape_gauges", [])
    return made


def test_the_page_of_own_metrics_runs(adapter: InMemoryMetricsAdapter) -> None:
    scope: dict[str, Any] = {}
    for block in blocks("own-metrics.md"):
        exec(block, scope)  # noqa: S102 - to run it is the purpose
    with pytest.raises(ValueError, match="picture"):
        scope["import_file"]("picture.png")
    asyncio.run(scope["import_from_web"]("http://shop.example"))
    text = adapter()
    assert value(text, "shop_import_failures_total", source="ftp", exception="ValueError") == 1
    assert value(text, "shop_import_duration_seconds_count") == 2
    assert value(text, "shop_waiting_orders") == 4
    assert value(text, "shop_orders_total") == 4


def test_the_application_of_the_page_without_django_is_measured(adapter: InMemoryMetricsAdapter) -> None:
    scope: dict[str, Any] = {}
    exec(blocks("without-django.md")[0], scope)  # noqa: S102 - to run it is the purpose
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asked = {"type": "http", "method": "GET", "path": "/orders/book", "headers": [], "query_string": b""}
    asyncio.run(scope["app"](asked, receive, send))
    assert sent[0]["status"] == 200
    assert value(adapter(), "http_requests_total", route="/orders/{kind}") == 1
    assert value(adapter(), "shop_orders_total", kind="book") == 1
