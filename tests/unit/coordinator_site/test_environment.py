"""Values from the environment are refused when they make no sense."""

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from coordinator_site import environment, setting_addresses, setting_limits, setting_paths


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("YES", True), ("1", True), ("off", False), ("0", False)]
)
def test_words_for_true_and_false_are_understood(word: str, value: bool) -> None:
    assert environment.boolean("DEBUG", word) is value


@pytest.mark.parametrize("word", ["ture", "", "2", "none"])
def test_a_misspelt_boolean_is_refused_instead_of_being_false(word: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"DEBUG={word!r}"):
        environment.boolean("DEBUG", word)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80.5", "http", "", "٣"])
def test_a_number_outside_its_range_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="from 1 to 65535"):
        environment.whole_number("PORT", text, lowest=1, highest=65535)


@pytest.mark.parametrize("name", ["Exchange", "a" * 64, "-a", "a-", "a.b", "a\n"])
def test_a_service_name_is_a_dns_label(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DNS label"):
        environment.dns_label("SERVICE_NAME", name)


def test_an_unknown_choice_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ImproperlyConfigured, match="one of development, production"):
        environment.one_of("ENVIRONMENT", "prod", {"production", "development"})


def test_an_invalid_network_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'10\.0\.0\.1/8'"):
        setting_addresses.networks("METRICS_ALLOWED_NETWORKS", ["127.0.0.0/8", "10.0.0.1/8"])


def test_a_directory_below_a_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match="name a directory"):
        setting_paths.writable_directory("DATA_DIR", tmp_path / "file" / "data")


def test_the_secret_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first = setting_paths.kept_secret_key(tmp_path / "secret-key")
    assert setting_paths.kept_secret_key(tmp_path / "secret-key") == first
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret-key"]


@pytest.mark.parametrize("value", ["tc netem", "./tc", "bin/tc", "/usr//bin/tc", "/usr/../bin/tc", "", "-x"])
def test_an_allowed_command_is_a_name_or_an_absolute_path(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="names or absolute paths of commands"):
        setting_limits.commands("ALLOWED_COMMANDS", ["systemctl", "/usr/sbin/tc", value])


def test_the_variables_of_an_allowed_command_stand_behind_it() -> None:
    values = ["systemctl", "kubectl:HTTPS_PROXY:NO_PROXY", "/usr/sbin/tc:TC_LIB", "kubectl:LANGUAGE"]
    assert setting_limits.commands("ALLOWED_COMMANDS", values) == {
        "systemctl": frozenset(),
        "kubectl": {"HTTPS_PROXY", "NO_PROXY", "LANGUAGE"},
        "/usr/sbin/tc": {"TC_LIB"},
    }


@pytest.mark.parametrize(
    "value", ["kubectl:", "kubectl:A B", "kubectl:9A", "kubectl:*", "kubectl:A=b", "a::B"]
)
def test_words_after_an_allowed_command_are_names_of_variables(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="the name of an environment variable"):
        setting_limits.commands("ALLOWED_COMMANDS", [value])


@pytest.mark.parametrize(
    "variable", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "BASH_ENV", "NODE_OPTIONS"]
)
def test_a_variable_that_loads_code_is_allowed_for_no_command(variable: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"'{variable}' lets a step run its own code"):
        setting_limits.commands("ALLOWED_COMMANDS", [f"kubectl:{variable}"])


@pytest.mark.parametrize("value", ["run", "/", "", "/run/", "/run/../etc"])
def test_an_allowed_folder_is_an_absolute_path_below_the_root(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="absolute paths of directories"):
        setting_paths.absolute_directories("ALLOWED_PIDFILE_DIRS", ["/run/exchange", value])


@pytest.mark.parametrize("value", ["", "a-b", "a..b", ".a", "a.*"])
def test_an_allowed_module_is_a_dotted_name(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="dotted names of modules"):
        setting_limits.module_prefixes("ALLOWED_CHAOSTOOLKIT_MODULES", ["chaosaws.ec2", value])


@pytest.mark.parametrize("value", ["", "9A_", "A-", "A B"])
def test_an_empty_or_impossible_prefix_of_secrets_is_refused(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="not the beginning of a variable's name"):
        setting_limits.variable_prefix("SCENARIO_SECRET_PREFIX", value)


@pytest.mark.parametrize(
    "value", ["127.0.0.1:9090", "ftp://x", "http://", "http://[half", "http://x:99999", "http://x:0"]
)
def test_an_address_of_prometheus_is_a_web_address(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="not a web address"):
        setting_addresses.web_address("PROMETHEUS_URL", value)
    assert setting_addresses.web_address("PROMETHEUS_URL", "") == ""


@pytest.mark.parametrize(
    "value",
    [
        "https://jaeger.example.com/trace/{trace_id}?uiFind={span_id}",
        "https://grafana.example.com/explore?panes=%7B%22query%22%3A%22{trace_id}%22%7D",
        'https://grafana.example.com/explore?panes={"query":"{trace_id}"}',
    ],
)
def test_the_address_of_a_trace_says_where_the_ids_belong(value: str) -> None:
    assert setting_addresses.trace_address("TRACE_URL", value) == value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("https://jaeger.example.com/search", "does not say where the id of the trace belongs"),
        ("https://jaeger.example.com/trace/{trace_id}?uiFind={spanid}", "unknown place {spanid}"),
    ],
)
def test_a_missing_or_unknown_place_for_an_id_is_refused(value: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(problem)):
        setting_addresses.trace_address("TRACE_URL", value)


@pytest.mark.parametrize(
    "value", ["*", "", "https://a.example", "a.example:443", "*.example.com", "a..b", "."]
)
def test_a_host_that_webhooks_may_be_sent_to_is_a_name_and_never_all_of_them(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="host names without a port"):
        setting_addresses.host_names(
            "WEBHOOK_ALLOWED_HOSTS", ["hooks.example.com", ".example.com", "[::1]", value]
        )


def test_groups_there_are_mapped_to_groups_here_and_may_hold_an_equals_sign() -> None:
    found = environment.pairs("OIDC_GROUP_MAP", ["sre = operators", "cn=qa,x=viewers"])
    assert found == {"sre": "operators", "cn=qa,x": "viewers"}


@pytest.mark.parametrize("value", ["sre", "=operators", "sre=", "qa=others"])
def test_half_a_pair_or_a_second_one_of_the_same_name_is_refused(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="once to a group here"):
        environment.pairs("OIDC_GROUP_MAP", ["qa=viewers", value])


@pytest.mark.parametrize(
    ("url", "script_name", "prefix"),
    [
        ("http://localhost:8080", "", ""),
        ("https://ops.example.com/", "", ""),
        ("https://ops.example.com/tc", "", "/tc"),
        ("https://ops.example.com/tools/tc/", "/tools/tc", "/tools/tc"),
    ],
)
def test_the_site_is_below_the_path_of_its_public_address(url: str, script_name: str, prefix: str) -> None:
    assert setting_addresses.url_prefix(url, script_name) == prefix


@pytest.mark.parametrize("path", ["/api", "/static/tc", "/t c", "/../tc", "//tc", "/tc%20"])
def test_a_path_that_the_site_has_itself_is_no_prefix(path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be the prefix"):
        setting_addresses.url_prefix(f"https://ops.example.com{path}", "")


def test_another_prefix_for_gunicorn_is_refused_with_the_place_for_it() -> None:
    with pytest.raises(ImproperlyConfigured, match="is not the path of PUBLIC_URL"):
        setting_addresses.url_prefix("https://ops.example.com", "/tc")
