"""The drivers' arguments for checking documents, and sample documents."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.tcp import TcpArguments
from scenarios.drivers.wait import WaitArguments
from scenarios.language.document import parse_document

DRIVERS: Mapping[str, type[BaseModel]] = {"http": HttpArguments, "tcp": TcpArguments, "wait": WaitArguments}
HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"


@pytest.fixture(scope="session")
def drivers() -> Mapping[str, type[BaseModel]]:
    return DRIVERS


@pytest.fixture(scope="session")
def example() -> str:
    """The whole example of the language's description."""
    return Path(__file__).with_name("exchange-latency.yaml").read_text()


@pytest.fixture(scope="session")
def with_spec() -> Callable[[str], str]:
    """A document with this spec, whose first line is line 5."""
    return lambda spec: HEAD + "\n".join(f"  {line}" for line in spec.strip("\n").splitlines()) + "\n"


@pytest.fixture(scope="session")
def problems() -> Callable[[str | bytes], tuple[Problem, ...]]:
    """What is wrong with a document."""

    def found(source: str | bytes) -> tuple[Problem, ...]:
        try:
            parse_document(source, DRIVERS)
        except InvalidDocument as error:
            return error.problems
        return ()

    return found
