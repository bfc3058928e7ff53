"""The queries of the presets are PromQL, and name the service."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from scenarios.charts.query_presets import PRESETS
from scenarios.domain.promql import MAX_QUERY_LENGTH, check_placeholders, fill_in

QUERIES = [query for preset in PRESETS.values() for _title, query, _unit in preset.queries]


@pytest.mark.parametrize("name", PRESETS)
def test_every_query_names_the_service_by_the_label_that_the_preset_tells(name: str) -> None:
    preset = PRESETS[name]
    for _title, query, _unit in preset.queries:
        check_placeholders(query)
        assert len(query) < MAX_QUERY_LENGTH
        assert query.count("{") == query.count(f'{preset.label}="$service"')


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_all_of_them(tmp_path: Path) -> None:
    rules = [
        {"record": f"preset:{number}", "expr": fill_in(query, service="shop", window=60)}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "presets", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False, timeout=600
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(QUERIES)} rules found" in checked.stdout
