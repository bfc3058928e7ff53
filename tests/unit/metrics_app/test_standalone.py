"""The settings of the metrics without Django: arguments, else environment variables."""

from pathlib import Path

import pytest
from starlette.applications import Starlette

from metrics_app import current, standalone
from metrics_app.asgi import RequestMetrics
from metrics_app.ports import AdapterSettingsError


@pytest.mark.parametrize(
    ("variable", "text", "match"),
    [
        ("BACKEND", "nowhere.Adapter", "cannot be imported"),
        ("BACKEND", "pathlib.Path", "is not a metrics adapter"),
        ("MAX_LABEL_SETS", "many", "'many' is not a number"),
        ("ON_MISUSE", "ignore", "one of 'log', 'raise'"),
        ("COUNT_SCRAPES", "perhaps", "neither true nor false"),
        ("CONSTANT_LABELS", "shop", "use 'service=shop,version=2'"),
        ("ALLOWED_NETWORKS", "10.0.0.0/99", "use networks as in"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, text: str, match: str
) -> None:
    monkeypatch.setenv(f"METRICS_{variable}", text)
    monkeypatch.setattr(current, "_setup", None)
    monkeypatch.setattr(standalone, "_used", None)
    with pytest.raises(AdapterSettingsError, match=match):
        RequestMetrics(Starlette(), directory=tmp_path)


def test_arguments_win_over_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METRICS_CONSTANT_LABELS", "service=shop, version=2")
    monkeypatch.setenv("METRICS_DIRECTORY", str(tmp_path / "variable"))
    monkeypatch.setenv("METRICS_MAX_LABEL_SETS", "7")
    by_variables = standalone.read_settings({})
    assert dict(by_variables.constant_labels) == {"service": "shop", "version": "2"}
    assert (by_variables.directory, by_variables.max_label_sets) == (tmp_path / "variable", 7)
    by_arguments = standalone.read_settings(
        {"directory": tmp_path, "constant_labels": {}, "max_label_sets": 9}
    )
    assert by_arguments.constant_labels == ()
    assert (by_arguments.directory, by_arguments.max_label_sets) == (tmp_path, 9)
