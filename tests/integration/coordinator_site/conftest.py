"""The provider of single sign-on that the tests of several files log in with."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.servers.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    with Provider().listening() as listening:
        settings.OIDC_ISSUER = listening.issuer
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
        settings.OIDC_STAFF_GROUPS, settings.OIDC_SUPERUSER_GROUPS = ["sre"], ["admins"]
        settings.OIDC_GROUP_MAP = {"sre": "Runner", "qa": "Viewer"}
        yield listening
