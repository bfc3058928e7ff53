"""Raises the errors of this machine's coordinator as those that the command line knows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from coordinator_client.command_line.coordinator import BeingDeleted, CommandRefused, TranslationRefused
from coordinator_client.errors import InvalidDocumentError, InvalidVariablesError, Problem
from coordinator_client.parsing import parse
from coordinator_client.records import LeftOut
from scenarios.domain import errors
from scenarios.language.experiments import translation


@contextmanager
def explain_errors() -> Iterator[None]:
    try:
        yield
    except translation.TranslationRefused as error:
        left_out = describe_left_out(error.translation.left_out)
        raise TranslationRefused(_convert(error.problems), left_out) from error
    except errors.InvalidDocument as error:
        raise InvalidDocumentError(_convert(error.problems)) from error
    except errors.InvalidVariables as error:
        raise InvalidVariablesError(error.errors) from error
    except errors.BeingDeleted as error:
        raise BeingDeleted(str(error)) from error
    except (errors.CannotBegin, errors.ScenarioDeleted) as error:
        raise CommandRefused(str(error)) from error


def _convert(problems: Sequence[errors.Problem]) -> list[Problem]:
    return [Problem(found.line, found.column, found.path, found.message, found.hint) for found in problems]


def describe_left_out(problems: Sequence[errors.Problem]) -> tuple[LeftOut, ...]:
    names = ("line", "column", "path", "message", "hint")
    return tuple(parse(LeftOut, {name: getattr(found, name) for name in names}) for found in problems)
