"""The dashboards are what Grafana's own types say, of the oldest version that they are for and the newest."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy.grafana.generate import DASHBOARDS, FOLDER, PACKAGE_FOLDER
from tests.servers.grafana_types import GrafanaTypes

FILES = [*(FOLDER / f"{name}.json" for name in DASHBOARDS), PACKAGE_FOLDER / "django.json"]
SHIPPED = {path.stem: json.loads(path.read_text()) for path in FILES}


def find_panel(board: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(panel for panel in board["panels"] if panel["type"] == kind)
    return found


# Each must be found, else the types let everything pass.
MISTAKES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a_field_that_does_not_exist": lambda board: board.update(titel="Runs"),
    "a_text_in_place_of_a_number": lambda board: board.update(schemaVersion="36"),
    "a_missing_field": lambda board: board["links"][0].pop("title"),
    "another_kind_of_panel": lambda board: find_panel(board, "stat").update(type="stats"),
    "an_option_of_another_kind": lambda board: find_panel(board, "stat")["options"].update(legend={}),
    "a_word_that_is_no_choice": lambda board: find_panel(board, "timeseries")["options"]["tooltip"].update(
        mode="every"
    ),
    "a_misspelt_field_of_curves": lambda board: find_panel(board, "timeseries")["fieldConfig"][
        "defaults"
    ].update(custom={"fillOpactiy": 10}),
    "a_number_that_is_no_choice": lambda board: board["templating"]["list"][0].update(hide=9),
    "a_query_without_its_expression": lambda board: find_panel(board, "timeseries")["targets"][0].pop("expr"),
}


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> GrafanaTypes:
    return GrafanaTypes(tmp_path_factory.mktemp("types"))


def make_mistakes() -> dict[str, Any]:
    broken = {}
    for name, change in MISTAKES.items():
        broken[name] = copy.deepcopy(SHIPPED["scenarios"])
        change(broken[name])
    return broken


@pytest.mark.parametrize("version", ["oldest", "newest"])
def test_dashboards_have_the_types_of_grafana_and_mistakes_are_found(
    types: GrafanaTypes, version: str
) -> None:
    errors = types.find_errors(version, {**SHIPPED, **make_mistakes()})
    assert {name: errors[name] for name in SHIPPED} == {name: [] for name in SHIPPED}
    assert [name for name in MISTAKES if not errors[name]] == []
