"""Runs an activity of a Chaos Toolkit extension, if the site allows its module.

chaoslib is imported only in the child process: importing it takes 189 ms and 32 MiB, an activity may do
anything to its process, and only a process can be ended from outside.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from django.conf import settings
from pydantic import AfterValidator, Field

from scenarios.domain.declarations import Declaration
from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.expectations import format_value
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.templates import is_templated
from scenarios.drivers.child.process import run_child
from scenarios.ports import Platform

_ACTIVITY = str(Path(__file__).parent / "child" / "chaos_activity.py")


def _check_dotted_name(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError(f"{text[:80]!r} is not a Python name such as 'chaosaws.ec2.actions'")
    return text


class ChaosToolkitReturned(Returned):
    value: Any = Field(json_schema_extra=ALWAYS, description="What the function returned.")
    note: str = Field(description="A note, if the value was cut.")


class ChaosToolkitArguments(Declaration):
    """Calls `func` of `module`; it gets `secrets` and `configuration` if it has parameters of these names."""

    Returns: ClassVar[type[Returned]] = ChaosToolkitReturned
    module: Annotated[str, AfterValidator(_check_dotted_name)]
    func: Annotated[str, AfterValidator(_check_dotted_name)]
    arguments: dict[str, Any] = {}
    configuration: dict[str, Any] = {}
    secrets: dict[str, Any] = {}

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        module = values.get("module")
        if (
            isinstance(module, str)
            and not is_templated(module)
            and (sentence := _explain_not_allowed(module))
        ):
            yield "module", sentence


class ChaosToolkit:
    """Calls functions of the modules that ALLOWED_CHAOSTOOLKIT_MODULES lists, and of their submodules. The
    extension must be installed in the coordinator's environment; it installs chaostoolkit-lib, too.
    """

    name: ClassVar[str] = "chaostoolkit"
    Arguments: ClassVar[type[ChaosToolkitArguments]] = ChaosToolkitArguments

    def check(self, arguments: ChaosToolkitArguments, platform: Platform) -> None:
        del platform
        if sentence := _explain_not_allowed(arguments.module):
            raise StepImpossible(sentence)

    async def probe(self, arguments: ChaosToolkitArguments, platform: Platform) -> Mapping[str, Any]:
        self.check(arguments, platform)
        # Isolated, so that neither PYTHON* variables nor the working directory affect imports.
        ended = await run_child([sys.executable, "-I", _ACTIVITY], stdin=arguments.model_dump_json())
        return _read_fields(ended.stdout, ended.stderr, f"{arguments.module}.{arguments.func}")

    async def act(self, arguments: ChaosToolkitArguments, platform: Platform) -> Mapping[str, Any]:
        return await self.probe(arguments, platform)


def _explain_not_allowed(module: str) -> str:
    """Why the site does not allow this module; '' if it does."""
    allowed = settings.ALLOWED_CHAOSTOOLKIT_MODULES
    if any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed):
        return ""
    known = ", ".join(map(repr, allowed)) or "none"
    return f"{module[:80]!r} is not allowed on this site: ALLOWED_CHAOSTOOLKIT_MODULES names {known}"


def _read_fields(answer: str, log: str, name: str) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(answer)
    except (ValueError, RecursionError):
        last_line = log.strip().rpartition("\n")[2]
        raise StepFailed(f"{name!r} ended its process without a result: {format_value(last_line)}") from None
    if "impossible" in fields:
        raise StepImpossible(f"{name!r} cannot be called: {fields['impossible']}")
    if "failed" in fields:
        raise StepFailed(f"{name!r} failed: {fields['failed']}")
    return fields
