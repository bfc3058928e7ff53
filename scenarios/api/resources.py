"""What the operations of all resources share: responses, preconditions, and answers to repeated requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ninja import Router, Schema
from ninja.decorators import decorate_view

from scenarios.api.description import (
    BODY_REFUSALS,
    CONDITIONAL,
    IDEMPOTENT,
    ITEM_REFUSALS,
    REFUSALS,
    WRITE_REFUSALS,
)
from scenarios.api.idempotency import run_once
from scenarios.api.merge_patch import describe_patch
from scenarios.api.preconditions import READ, Versioned
from scenarios.api.problems import Problem

View = TypeVar("View", bound=Callable[..., Any])
Gate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """Declares the operations of one resource; each is used as a decorator of the operation's function.

    `url_name` names the address, and `versioned` computes the ETag. Every operation takes the result of
    `needs(...)` as `gate`, which runs before all else. `shown` is the schema of the response; with
    `may_conflict`, the operation may also answer 409.
    """

    router: Router
    path: str
    url_name: str
    versioned: Versioned

    def get(self, shown: type[Schema], gate: Gate) -> Callable[[View], View]:
        """Show the resource, or answer 304."""
        route = self.router.get(
            self.path, response={200: shown, **ITEM_REFUSALS}, url_name=self.url_name, openapi_extra=READ
        )
        return lambda view: route(gate(decorate_view(self.versioned.read)(view)))

    def put(
        self,
        shown: type[Schema],
        gate: Gate,
        *,
        creates: bool = True,
        may_conflict: bool = False,
        body: Mapping[str, Any] | None = None,
    ) -> Callable[[View], View]:
        """Replace the resource. Unless it `creates` one, it answers 404 for an unknown name.

        `body` describes a body that is not a schema.
        """
        found = {201: shown, **REFUSALS} if creates else ITEM_REFUSALS
        route = self.router.put(
            self.path,
            response={200: shown, **found, **WRITE_REFUSALS, **BODY_REFUSALS, **_conflict(may_conflict)},
            openapi_extra={**(body or {}), **CONDITIONAL},
        )
        return self._write(route, gate)

    def patch(
        self, shown: type[Schema], gate: Gate, *, body: str, may_conflict: bool = False
    ) -> Callable[[View], View]:
        """Change some fields by JSON merge patch. `body` names the schema of the patch."""
        refusals = {**WRITE_REFUSALS, **ITEM_REFUSALS, **BODY_REFUSALS, **_conflict(may_conflict)}
        route = self.router.patch(
            self.path,
            response={200: shown, **refusals},
            openapi_extra={**CONDITIONAL, **describe_patch(body)},
        )
        return self._write(route, gate)

    def delete(
        self, gate: Gate, *, may_conflict: bool = False, may_take_long: bool = False
    ) -> Callable[[View], View]:
        """With `may_take_long`, it may answer 202: the deletion is requested, and carried out later."""
        refusals = {**WRITE_REFUSALS, **ITEM_REFUSALS, **_conflict(may_conflict)}
        later = {202: None} if may_take_long else {}
        route = self.router.delete(
            self.path, response={204: None, **later, **refusals}, openapi_extra=CONDITIONAL
        )
        return self._write(route, gate)

    def act(
        self,
        verb: str,
        shown: type[Schema],
        gate: Gate,
        *,
        url_name: str,
        status: int = 200,
        may_conflict: bool = False,
    ) -> Callable[[View], View]:
        """Do something with the resource, by POST to `verb` below its address."""
        route = self.router.post(
            f"{self.path}/{verb}",
            response={status: shown, **ITEM_REFUSALS, **_conflict(may_conflict)},
            url_name=url_name,
            openapi_extra=IDEMPOTENT,
        )
        return lambda view: route(gate(decorate_view(run_once)(view)))

    def _write(self, route: Callable[[View], View], gate: Gate) -> Callable[[View], View]:
        """A repeated request is answered from the first response, before its precondition is checked."""
        return lambda view: route(gate(decorate_view(self.versioned.write, run_once)(view)))


def _conflict(may_conflict: bool) -> dict[int, type[Schema]]:
    return {409: Problem} if may_conflict else {}
