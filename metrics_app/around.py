"""Measures around a block of code, or each call of a function, sync or async."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


class Around(ABC):
    """A context manager, used once, and a decorator."""

    @abstractmethod
    def copy(self) -> Self:
        """The same for one call of a function."""

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def end(self, error: BaseException | None) -> None: ...

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.end(error)

    def __call__(self, function: Function) -> Function:
        if iscoroutinefunction(function):

            @wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self.copy():
                    return await function(*args, **kwargs)

            return cast("Function", call_async)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.copy():
                return function(*args, **kwargs)

        return cast("Function", call)


class Timer(Around):
    """Reports how many seconds it took, even if it failed."""

    def __init__(self, record: Callable[[float], None]) -> None:
        self._record = record
        self._start = 0.0

    def copy(self) -> Self:
        return type(self)(self._record)

    def begin(self) -> None:
        self._start = perf_counter()

    def end(self, error: BaseException | None) -> None:  # noqa: ARG002 - whatever happened took its time
        self._record(perf_counter() - self._start)


class InProgress(Around):
    """Moves a gauge by one while it lasts."""

    def __init__(self, move: Callable[[float], None]) -> None:
        self._move = move

    def copy(self) -> Self:
        return self  # it keeps nothing

    def begin(self) -> None:
        self._move(1.0)

    def end(self, error: BaseException | None) -> None:  # noqa: ARG002 - it is over
        self._move(-1.0)


class Exceptions(Around):
    """Reports exceptions of these types, which are still raised."""

    def __init__(
        self, types: tuple[type[BaseException], ...], record: Callable[[BaseException], None]
    ) -> None:
        self._types = types
        self._record = record

    def copy(self) -> Self:
        return self  # it keeps nothing

    def begin(self) -> None:
        """Nothing has been raised yet."""

    def end(self, error: BaseException | None) -> None:
        if isinstance(error, self._types):
            self._record(error)
