"""Finds the template of the path that a request matched, from what Starlette and FastAPI leave in its scope.

They leave the route, but not its mounts; older releases leave only the function. The raw path is never used,
because each path that a client invents would be a series.
"""

import re
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

UNKNOWN_MOUNT = "/{mount}"
PARAMETER = re.compile(r"\{\w+(?::(\w+))?\}")


class Routes:
    """Finds templates for one application."""

    def __init__(self, app: object) -> None:
        self._app = app
        self._mounts: dict[str, re.Pattern[str]] = {}
        self._paths: dict[object, set[str]] = {}
        self._leaves: set[type] = set()
        """The types of routes that are no mounts and have a path."""

    def enter(self, scope: Scope) -> None:
        """Read the scope before a request is answered, because mounted applications change it."""
        self._app = scope.get("app", self._app)

    def find(self, scope: Scope) -> str | None:
        found: Any = scope.get("route")
        if type(found) in self._leaves and "fastapi" not in scope and "app_root_path" not in scope:
            path: str = found.path
            return path
        return self._find_whole(scope)

    def _find_whole(self, scope: Scope) -> str | None:
        route = self._find_leaf(scope)
        if route is None:
            return None
        outer = scope.get("app_root_path")
        if outer is None:
            return route
        # The route of a mounted application has only its own part of the path.
        return self._find_mount(scope["root_path"][len(outer) :]) + route or "/"

    def _find_leaf(self, scope: Scope) -> str | None:
        # FastAPI keeps the path with the prefixes of the routers that it includes beside the route.
        fastapi = scope.get("fastapi")
        included = fastapi.get("effective_route_context") if fastapi else None
        route = scope.get("route") if included is None else included
        if route is None:
            return self._find_by_endpoint(scope)
        if hasattr(route, "routes") and not hasattr(route, "methods"):
            return ""  # a mount, which is in the root path already
        path = getattr(route, "path", None)
        if not isinstance(path, str):
            return None
        self._leaves.add(type(route))
        return path

    def _find_by_endpoint(self, scope: Scope) -> str | None:
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return None
        if endpoint not in self._paths:
            self._learn()
        paths = self._paths.get(endpoint, set())
        return next(iter(paths)) if len(paths) == 1 else None

    def _find_mount(self, prefix: str) -> str:
        for _ in range(2):
            if prefix in self._mounts:
                return prefix
            for template, pattern in self._mounts.items():
                if pattern.fullmatch(prefix):
                    return template
            self._learn()
        return UNKNOWN_MOUNT

    def _learn(self) -> None:
        app: Any = self._app
        while not hasattr(app, "routes") and hasattr(app, "app"):
            app = app.app  # another middleware stands between
        for path, route in _walk(getattr(app, "routes", ()), ""):
            if hasattr(route, "routes"):
                self._mounts[path] = _compile(path)
                if not route.routes:
                    # Files, or another kind of application: FastAPI leaves it in the scope without route.
                    self._paths.setdefault(route.app, set()).add("")
            else:
                self._paths.setdefault(getattr(route, "endpoint", None), set()).add(route.path)


def _walk(routes: Iterable[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for route in routes:
        path = getattr(route, "path", None)
        if isinstance(path, str):
            yield prefix + path, route
            yield from _walk(getattr(route, "routes", None) or (), prefix + path)


def _compile(template: str) -> re.Pattern[str]:
    """A pattern for the paths of a mount: each parameter is one part, or several if it is a path."""
    pattern = ""
    position = 0
    for found in PARAMETER.finditer(template):
        pattern += re.escape(template[position : found.start()]) + (".+" if found[1] == "path" else "[^/]+")
        position = found.end()
    return re.compile(pattern + re.escape(template[position:]))
