"""`scenario import` of Chaos Toolkit experiments: the name comes from a title, which others may have, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from scenarios.models import Scenario
from tests.command_line import CommandLine

pytestmark = pytest.mark.django_db


def experiment(folder: Path, name: str, **changes: Any) -> Path:
    provider = {"type": "http", "url": f"http://127.0.0.1:1/{name}"}
    probe = {"type": "probe", "name": "p", "tolerance": 200, "provider": provider}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"title": "Is it up?", "method": [probe], **changes}))
    return file


def documents() -> dict[str, str]:
    return dict(Scenario.objects.values_list("name", "document"))


def test_second_experiment_with_the_same_title_is_refused(scenario: CommandLine, tmp_path: Path) -> None:
    assert scenario("import", experiment(tmp_path, "a")).code == 0
    before = documents()
    for more in ([], ["--check"]):
        refused = scenario("import", experiment(tmp_path, "b"), *more)
        assert refused.code == 2
        assert "'is-it-up' is already stored" in refused.err
        assert "--name" in refused.err
        assert "--replace" in refused.err
    assert documents() == before


def test_same_experiment_is_unchanged(scenario: CommandLine, tmp_path: Path) -> None:
    file = experiment(tmp_path, "a")
    assert [scenario("import", file).code, scenario("import", file).code] == [0, 0]


def test_name_option_names_an_experiment(scenario: CommandLine, tmp_path: Path) -> None:
    scenario("import", experiment(tmp_path, "a"))
    assert scenario("import", experiment(tmp_path, "b"), "--name", "other").code == 0
    assert documents().keys() == {"is-it-up", "other"}
    assert scenario("import", experiment(tmp_path, "b"), "--name", "Not a label").code == 2


def test_replace_option_replaces_a_scenario(scenario: CommandLine, tmp_path: Path) -> None:
    scenario("import", experiment(tmp_path, "a"))
    assert scenario("import", experiment(tmp_path, "b"), "--replace").code == 0
    assert "127.0.0.1:1/b" in documents()["is-it-up"]


def test_experiment_does_not_replace_a_scenario_of_the_same_name(
    scenario: CommandLine, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: is-it-up}\n"
        "spec: {phases: [{name: p}]}\n"
    )
    scenario("import", own)
    assert scenario("import", experiment(tmp_path, "a")).code == 2
    own.write_text(own.read_text() + "# changed\n")
    assert scenario("import", own).code == 0
    assert documents()["is-it-up"].endswith("# changed\n")
    assert scenario("import", own, "--name", "other").code == 2


def test_two_experiments_with_one_title_are_refused(scenario: CommandLine, tmp_path: Path) -> None:
    experiment(tmp_path, "a")
    experiment(tmp_path, "b")
    assert scenario("import", tmp_path, "--replace").code == 2
    assert scenario("import", tmp_path, "--name", "x").code == 2
    assert documents() == {}
