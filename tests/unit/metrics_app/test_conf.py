"""Each setting has a default, is read late, and is never in the way of a request when it is wrong."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.http import HttpRequest
from django.test import override_settings

from metrics_app import setting_values
from metrics_app.catalogue import REQUEST_BUCKETS
from metrics_app.conf import READ_SETTINGS, SETTINGS, conf
from metrics_app.setting_values import NOBODY, PROMETHEUS, SettingError
from tests.without_module import run_without


def find_tenant(_request: HttpRequest) -> str:
    return "one"


@pytest.fixture
def _nothing_set(settings: Any) -> None:
    for name in READ_SETTINGS:
        if hasattr(settings, name):
            delattr(settings, name)


@pytest.mark.usefixtures("_nothing_set")
def test_every_setting_has_a_default() -> None:
    assert {key: getattr(conf, key.lower()) for key in SETTINGS} == {
        "BACKEND": PROMETHEUS,
        "DIRECTORY": setting_values.find_default_directory(),
        "CONSTANT_LABELS": {},
        "BUCKETS": REQUEST_BUCKETS,
        "ROUTES": {},
        "EXCLUDE": (),
        "LABELS": {},
        "REQUEST_DETAILS": (),
        "DATABASE": False,
        "CACHES": False,
        "TASKS": False,
        "COMMANDS": False,
        "NAMES": "plain",
        "ON_MISUSE": "raise",
        "TOKEN": "",
        "ALLOWED_NETWORKS": (),
        "MAX_LABEL_SETS": 2000,
        "NATIVE_HISTOGRAMS": False,
        "CREATED": False,
        "COUNT_SCRAPES": False,
    }


GIVEN: dict[str, tuple[Any, Any]] = {
    "BACKEND": ("a.Backend", "a.Backend"),
    "DIRECTORY": ("/run/shop", Path("/run/shop")),
    "CONSTANT_LABELS": ({"service": "shop"}, {"service": "shop"}),
    "BUCKETS": ([0.1, 1], (0.1, 1.0)),
    "ROUTES": ({"report": [1, 60]}, {"report": (1.0, 60.0)}),
    "EXCLUDE": (["health", "/internal/"], ("health", "/internal/")),
    "LABELS": ({"tenant": find_tenant}, {"tenant": find_tenant}),
    "REQUEST_DETAILS": (["sizes", "queries"], ("sizes", "queries")),
    "DATABASE": (True, True),
    "CACHES": (True, True),
    "TASKS": (True, True),
    "COMMANDS": (True, True),
    "NAMES": ("semconv", "semconv"),
    "ON_MISUSE": ("log", "log"),
    "TOKEN": ("secret", "secret"),
    "ALLOWED_NETWORKS": (["10.0.0.0/8"], (ip_network("10.0.0.0/8"),)),
    "MAX_LABEL_SETS": (10, 10),
    "NATIVE_HISTOGRAMS": (True, True),
    "CREATED": (True, True),
    "COUNT_SCRAPES": (True, True),
}


@pytest.mark.usefixtures("_nothing_set")
@pytest.mark.parametrize("key", GIVEN)
def test_a_key_of_the_dictionary_is_read_late(key: str) -> None:
    given, read = GIVEN[key]
    before = getattr(conf, key.lower())
    with override_settings(METRICS={key: given}):
        assert getattr(conf, key.lower()) == read
    assert getattr(conf, key.lower()) == before


def test_every_key_is_tried() -> None:
    assert GIVEN.keys() == SETTINGS.keys() == REFUSED.keys()


REFUSED: dict[str, list[Any]] = {
    "BACKEND": [3, ""],
    "DIRECTORY": [3, ""],
    "CONSTANT_LABELS": ["service", {"route": "x"}, {"not a label": "x"}],
    "BUCKETS": [1, "1,2", [], [2, 1], [1, 1], [0, 1], [-1, 1], ["a"], [1, float("inf")], [float("nan")]],
    "ROUTES": [["report"], {"report": 3}, {3: [1]}],
    "EXCLUDE": ["health", [3], [""], 3, {"health": 1}],
    "LABELS": [
        "tenant",
        {"tenant": 3},
        {"tenant": "nowhere.function"},
        {"route": find_tenant},
        {"le": find_tenant},
    ],
    "REQUEST_DETAILS": ["sizes", ["size"], True],
    "DATABASE": ["false", 1],
    "CACHES": ["false"],
    "TASKS": ["yes"],
    "COMMANDS": [1],
    "NAMES": ["prometheus", 3, []],
    "ON_MISUSE": ["ignore"],
    "TOKEN": [3, b"secret"],
    "ALLOWED_NETWORKS": ["10.0.0.0/8", ["10.0.0.1/8"], ["everywhere"], 8],
    "MAX_LABEL_SETS": [0, -1, True, "2000", 1.5, 1_000_001],
    "NATIVE_HISTOGRAMS": [1],
    "CREATED": [1],
    "COUNT_SCRAPES": ["false"],
}
CLOSED = {"TOKEN", "ALLOWED_NETWORKS"}


@pytest.mark.usefixtures("_nothing_set")
@pytest.mark.parametrize(("key", "value"), [(key, value) for key in REFUSED for value in REFUSED[key]])
def test_a_value_that_cannot_be_used_counts_as_missing(key: str, value: object) -> None:
    default = getattr(conf, key.lower())
    with override_settings(METRICS={key: value}):
        with pytest.raises(SettingError, match="use "):
            SETTINGS[key].parse(value)
        if key not in CLOSED:
            assert getattr(conf, key.lower()) == default


@pytest.mark.usefixtures("_nothing_set")
def test_invalid_access_setting_keeps_the_exposition_closed() -> None:
    with override_settings(METRICS={"TOKEN": 3, "ALLOWED_NETWORKS": "10.0.0.0/8"}):
        assert len(conf.token) >= 32
        assert conf.token != conf.token
        assert conf.allowed_networks == NOBODY


@pytest.mark.usefixtures("_nothing_set")
def test_the_flat_names_are_read_and_the_dictionary_wins() -> None:
    labels = {"SERVICE_NAME": "shop", "SERVICE_INSTANCE_NAME": "shop-1", "SERVICE_VERSION": "2"}
    with override_settings(METRICS_TOKEN="flat", METRICS_MAX_LABEL_SETS=7, **labels):
        assert (conf.token, conf.max_label_sets) == ("flat", 7)
        assert conf.constant_labels == {"service": "shop", "instance": "shop-1", "version": "2"}
        assert SETTINGS["MAX_LABEL_SETS"].shown() == "METRICS_MAX_LABEL_SETS=7"
        with override_settings(METRICS={"TOKEN": "of the dictionary", "CONSTANT_LABELS": {}}):
            assert (conf.token, conf.max_label_sets) == ("of the dictionary", 7)
            assert conf.constant_labels == {}
            assert SETTINGS["TOKEN"].shown() == "METRICS['TOKEN']='a secret str'"


@pytest.mark.usefixtures("_nothing_set")
def test_a_name_of_a_service_alone_is_the_projects_own_affair() -> None:
    with override_settings(SERVICE_NAME="shop"):
        assert conf.constant_labels == {}


@pytest.mark.usefixtures("_nothing_set")
@pytest.mark.parametrize("dictionary", [None, "BACKEND", ["BACKEND"]])
def test_something_else_than_a_dictionary_counts_as_missing(dictionary: object) -> None:
    with override_settings(METRICS=dictionary):
        assert conf.max_label_sets == 2000


@pytest.mark.usefixtures("_nothing_set")
@pytest.mark.parametrize(("debug", "expected"), [(True, "raise"), (False, "log")])
def test_misuse_raises_where_a_developer_looks(
    debug: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("django.core.mail.outbox")  # as outside tests
    with override_settings(DEBUG=debug):
        assert conf.on_misuse == expected


def test_the_default_directory_depends_on_project_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = setting_values.find_default_directory()
    assert setting_values.find_default_directory() == directory
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "another.settings")
    assert setting_values.find_default_directory() != directory
    monkeypatch.undo()
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    assert setting_values.find_default_directory() != directory


def test_tests_have_another_default_directory_than_a_server_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    in_tests = setting_values.find_default_directory()
    monkeypatch.delattr(mail, "outbox")
    served = setting_values.find_default_directory()
    assert (in_tests.name, in_tests.parent) == (f"{served.name}-tests", served.parent)


DEFAULT_BACKEND = """
from metrics_app.setting_values import find_default_backend, find_missing_module
print(find_default_backend(), find_missing_module())
"""


@pytest.mark.parametrize("missing", ["prometheus_client", "fcntl"])
def test_the_default_backend_is_in_memory_where_prometheus_cannot_work(missing: str) -> None:
    done = run_without(missing, DEFAULT_BACKEND)
    assert done.stdout.split() == [setting_values.MEMORY, missing], done.stderr
