"""A command on the coordinator's own host, of those that the site allows."""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar

from django.conf import settings
from pydantic import AfterValidator, Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration
from scenarios.domain.errors import StepImpossible, StepNotDone
from scenarios.domain.expectations import format_value
from scenarios.domain.outputs import read_json
from scenarios.domain.results import Returned
from scenarios.domain.templates import format_scalar, is_templated
from scenarios.drivers.child.process import DEFAULT_PATH, Ended, run_child
from scenarios.ports import Platform

_MAX_LISTED = 10
_SCALAR = {"type": ["string", "number", "boolean"]}


def _check_directory(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path[:80]!r} is no absolute path: it begins with '/', as in '/var/tmp'")
    return path


def _check_environment(given: dict[str, Any]) -> dict[str, str]:
    for name, value in given.items():
        if not name.isidentifier() or not name.isascii():
            raise ValueError(f"{name[:80]!r} is no variable's name: letters, digits and '_'")
        if not isinstance(value, str | int | float):
            raise ValueError(f"{format_value(value)} is no value for {name!r}: text, a number or a truth")  # noqa: TRY004 - pydantic reports ValueErrors
    return {name: format_scalar(value) for name, value in given.items()}


class CommandReturned(Returned):
    exit_code: int = Field(ge=-64, le=255, description="Negative: the signal that ended it.")
    stdout: str = Field(description="At most 64 KiB of it.")
    stderr: str = Field(description="At most 64 KiB of it.")
    json_output: Any = Field(alias="json", description="`stdout`, where it is JSON and whole.")
    elapsed: float = Field(ge=0, description="Seconds to its end.")
    note: str = Field(description="What was cut, or ended with it, where anything was.")


class CommandArguments(Declaration):
    """`run` is the command and its arguments, one by one: no shell reads them.

    With `keep_running`, what the command starts stays running when the step has ended.
    """

    Returns: ClassVar[type[Returned]] = CommandReturned
    run: Annotated[list[str], Field(min_length=1)]
    cwd: Annotated[str, AfterValidator(_check_directory)] = "/"
    env: Annotated[
        dict[str, Any],
        AfterValidator(_check_environment),
        WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
    ] = {}
    stdin: str = Field(ABSENT)
    timeout: PositiveDuration = 30.0
    keep_running: bool = False
    ok: Annotated[list[Annotated[int, Field(ge=-64, le=255), WHOLE]], Field(min_length=1)] = Field(ABSENT)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        run = given.get("run")
        executable = run[0] if isinstance(run, list) and run else None
        if not isinstance(executable, str) or is_templated(executable):
            return
        env = given.get("env")
        if sentence := _explain_not_allowed(executable):
            yield "run", sentence
        elif isinstance(env, dict) and (sentence := _explain_refused_variables(executable, env)):
            yield "env", sentence


class Command:
    """Runs what ALLOWED_COMMANDS names, with an environment of nothing but PATH, language, time zone and
    those variables of `env` that ALLOWED_COMMANDS names beside the command. Each output is cut after
    64 KiB. As an action it is done when the exit code is 0, or one of `ok` where that is given.

    What the command leaves running ends with it. With `keep_running: true` it stays once the command is
    done: the command then runs in a session of its own, and its output goes to /dev/null.
    """

    name: ClassVar[str] = "command"
    Arguments: ClassVar[type[CommandArguments]] = CommandArguments
    decided_by: ClassVar[str] = "exit_code"
    is_host_bound: ClassVar[bool] = True

    def check(self, arguments: CommandArguments, platform: Platform) -> None:
        del platform
        _find_program(arguments)

    async def probe(self, arguments: CommandArguments, platform: Platform) -> Mapping[str, Any]:
        del platform
        return _build_fields(await _run(arguments))

    async def act(self, arguments: CommandArguments, platform: Platform) -> Mapping[str, Any]:
        del platform
        ended = await _run(arguments)
        if ended.exit_code not in _get_accepted_codes(arguments):
            said = ended.stderr.strip() or ended.stdout.strip()
            raise StepNotDone(
                f"{arguments.run[0]!r} ended with exit code {ended.exit_code}: {format_value(said)}"
            )
        return _build_fields(ended)


def _get_accepted_codes(arguments: CommandArguments) -> Collection[int]:
    return arguments.ok or (0,)


def _explain_not_allowed(executable: str) -> str:
    """A sentence where the site does not allow this executable; '' where it does."""
    allowed = settings.ALLOWED_COMMANDS
    if executable in allowed:
        return ""
    known = ", ".join(map(repr, allowed)) or "none"
    return f"{executable[:80]!r} is not allowed on this site: ALLOWED_COMMANDS names {known}"


def _explain_refused_variables(executable: str, env: Mapping[str, Any]) -> str:
    """A sentence where the site does not let steps set these variables for this command; '' where it does."""
    allowed = settings.ALLOWED_COMMAND_VARIABLES.get(executable, frozenset())
    refused = sorted(str(name)[:80] for name in env if name not in allowed)
    if not refused:
        return ""
    named = ", ".join(map(repr, refused[:_MAX_LISTED]))
    known = ", ".join(map(repr, sorted(allowed))) or "none"
    return (
        f"{named} may not be set for {executable[:80]!r} on this site: ALLOWED_COMMANDS names {known} beside "
        f"it (a site allows one by '{executable[:80]}:{refused[0]}')"
    )


def _find_program(arguments: CommandArguments) -> str:
    """The path of the executable.

    Raises:
        StepImpossible: the site does not allow it, or not with this environment, or has none of this name.
    """
    # Again, and this time whatever the document said: templates have been filled in, settings may
    # have changed since it was saved.
    if sentence := _explain_not_allowed(arguments.run[0]):
        raise StepImpossible(sentence)
    if sentence := _explain_refused_variables(arguments.run[0], arguments.env):
        raise StepImpossible(sentence)
    # By the coordinator's own PATH, not by one that the step's `env` names.
    path = shutil.which(arguments.run[0], path=os.environ.get("PATH", DEFAULT_PATH))
    if path is None:
        raise StepImpossible(f"{arguments.run[0]!r} is not installed on the coordinator's host")
    return path


async def _run(arguments: CommandArguments) -> Ended:
    return await run_child(
        [_find_program(arguments), *arguments.run[1:]],
        environment=arguments.env,
        directory=arguments.cwd,
        stdin=arguments.stdin or "",
        seconds=arguments.timeout,
        keeps_running_after=_get_accepted_codes(arguments) if arguments.keep_running else (),
    )


def _build_fields(ended: Ended) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "exit_code": ended.exit_code,
        "stdout": ended.stdout,
        "stderr": ended.stderr,
        "elapsed": ended.elapsed,
    }
    if ended.notes:
        return {**fields, "note": "; ".join(ended.notes)}
    # Without JSON there is no 'json', which an expectation of one reports.
    with contextlib.suppress(ValueError, RecursionError):
        fields["json"] = read_json(ended.stdout)
    return fields
