import pytest
from django.contrib.auth.models import User

from coordinator_client.command_line.remote import RemoteCoordinator
from scenarios.access import tokens
from scenarios.management.commands import scenario as command
from tests.command_line import CommandLine
from tests.in_process_api import in_process_client


@pytest.fixture
def scenario(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`manage.py scenario …` in this process."""
    return CommandLine(capsys)


@pytest.fixture(params=["local", "remote"])
def way(request: pytest.FixtureRequest) -> str:
    """On this machine, or over the API."""
    return str(request.param)


@pytest.fixture
def either(
    way: str, db: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """As `scenario`, in the way of the test; over the API by the superuser ada."""
    if way == "remote":
        secret = tokens.create_token(User.objects.create_superuser("ada"), "a test", tokens.SCOPES)[1]
        monkeypatch.setattr(command, "connect", lambda *_where: RemoteCoordinator(in_process_client(secret)))
    return CommandLine(capsys)
