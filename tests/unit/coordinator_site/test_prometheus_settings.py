"""The settings with credentials and certificates for the requests to PROMETHEUS_URL."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from coordinator_site.setting_addresses import certificate_name, prometheus_auth, prometheus_tls
from coordinator_site.setting_limits import secret_name
from scenarios.domain.web_words import find_invalid_words


@pytest.mark.parametrize(
    ("given", "auth"),
    [
        ({}, {}),
        ({"token": "OBSERVER"}, {"bearer": "${secret:OBSERVER}"}),
        (
            {"user": "ada", "password": "OBSERVER"},
            {"basic": {"user": "ada", "password": "${secret:OBSERVER}"}},
        ),
    ],
)
def test_credentials_are_references_to_secrets(given: dict[str, str], auth: dict[str, Any]) -> None:
    found = prometheus_auth(**{"token": "", "user": "", "password": "", **given})
    assert found == auth
    assert not found or find_invalid_words("auth", found, "") == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"token": "A", "user": "ada"}, "PROMETHEUS_TOKEN_SECRET cannot be combined"),
        ({"token": "A", "password": "B"}, "PROMETHEUS_TOKEN_SECRET cannot be combined"),
        ({"user": "ada"}, "PROMETHEUS_PASSWORD_SECRET is missing"),
        ({"password": "B"}, "PROMETHEUS_USER is missing"),
        ({"user": "ada:admin", "password": "B"}, "PROMETHEUS_USER='ada:admin' contains ':'"),
        ({"user": "ada\n", "password": "B"}, "a control character"),
    ],
)
def test_half_of_the_credentials_or_both_kinds_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=sentence):
        prometheus_auth(**{"token": "", "user": "", "password": "", **given})


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        ({}, {}),
        ({"verify": False}, {"verify": False}),
        ({"ca": "ca.pem", "certificate": "own.pem"}, {"ca": "ca.pem", "certificate": "own.pem"}),
        ({"verify": False, "certificate": "own.pem"}, {"verify": False, "certificate": "own.pem"}),
    ],
)
def test_certificates_are_those_of_the_settings(given: dict[str, Any], tls: dict[str, Any]) -> None:
    found = prometheus_tls(**{"verify": True, "ca": "", "certificate": "", **given})
    assert found == tls
    assert not found or find_invalid_words("tls", found, "") == ""


def test_an_authority_that_is_not_asked_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="PROMETHEUS_CA has no effect"):
        prometheus_tls(verify=False, ca="ca.pem", certificate="")


@pytest.mark.parametrize("value", ["../ca.pem", "/etc/ca.pem", ".pem", "a b", "ca.pem\n", "a" * 101, "ü.pem"])
def test_a_certificate_is_the_name_of_a_file_without_a_path(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"PROMETHEUS_CA=.* is not the name of a file"):
        certificate_name("PROMETHEUS_CA", value)
    assert certificate_name("PROMETHEUS_CA", "") == ""
    assert certificate_name("PROMETHEUS_CA", "prometheus-ca.pem") == "prometheus-ca.pem"


@pytest.mark.parametrize("value", ["a-b", "9A", "A B", "${secret:A}", "A\n", "Ä"])
def test_a_secret_is_named_and_not_written(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"PROMETHEUS_TOKEN_SECRET=.* is not the name of a secret"):
        secret_name("PROMETHEUS_TOKEN_SECRET", value)
    assert secret_name("PROMETHEUS_TOKEN_SECRET", "") == ""
    assert secret_name("PROMETHEUS_TOKEN_SECRET", "PROMETHEUS_TOKEN") == "PROMETHEUS_TOKEN"
