import pytest

from tests.command_line import CommandLine


@pytest.fixture
def scenario(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`manage.py scenario …` in this process."""
    return CommandLine(capsys)
