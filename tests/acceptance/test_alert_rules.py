"""The rules that Prometheus is shipped with: tried on made-up series, each alert with its way to help."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_app.catalogue import CATALOGUE
from tests.servers.coordinator import PROJECT

PROMETHEUS = PROJECT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules"
CASES = sorted((RULES / "tests").glob("*.yml"))


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / f"{name}.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = rules("alerts")
ALERT_NAMES = [rule["alert"] for rule in ALERTS]


def anchors(document: Path) -> set[str]:
    """The headings' addresses, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.prometheus
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_the_rules_do_what_their_cases_say(cases: Path) -> None:
    tried = subprocess.run(
        ["promtool", "test", "rules", cases], capture_output=True, text=True, check=False, timeout=600
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    tests = [test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]
    tried = [case for test in tests for case in test.get("alert_rule_test", [])]
    assert {case["alertname"] for case in tried if case["exp_alerts"]} == set(ALERT_NAMES)


@pytest.mark.parametrize("alert", ALERTS, ids=ALERT_NAMES)
def test_an_alert_has_a_severity_a_summary_with_its_value_and_a_paragraph_in_the_operating_guide(
    alert: dict[str, Any],
) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert "$value" in alert["annotations"]["summary"]
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert anchor == alert["alert"].lower()
    assert anchor in anchors(PROJECT / page)


def test_the_rules_ask_for_metrics_that_exist_and_for_the_job_that_the_shipped_configuration_scrapes() -> (
    None
):
    expressions = [rule["expr"] for rule in (*ALERTS, *rules("recording"))]
    asked = {name for text in expressions for name in re.findall(r"\b([a-z_]+)\{", text)}
    known = {*CATALOGUE, *(f"{name}_{part}" for name in CATALOGUE for part in ("bucket", "count")), "up"}
    assert asked <= known
    jobs = {job for text in expressions for job in re.findall(r'job="([^"]+)"', text)}
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    assert jobs <= {job["job_name"] for job in scraped}
