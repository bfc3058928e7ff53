"""JSONPath (RFC 9535): the queries of a document, and the values they select.

The library only parses. Its own evaluation has no limit: a query with several `..` visits too many nodes to
ever finish, and its `match()` and `search()` backtrack. The evaluation here spends from a Budget and does not
recurse over the data.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.filter import (
    BaseExpression,
    FilterExpression,
    FilterExpressionLiteral,
    FilterQuery,
    FunctionExtension,
    InfixExpression,
    Nil,
    PrefixExpression,
    RelativeFilterQuery,
    RootFilterQuery,
)
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import (
    Filter,
    IndexSelector,
    JSONPathSelector,
    NameSelector,
    SliceSelector,
    WildcardSelector,
)

from scenarios.domain.patterns import compile_iregexp

MAX_PATH_LENGTH = 200
# Each one multiplies the visited nodes by the depth of the data: four take minutes on 60 levels.
MAX_DESCENTS = 3
# Per check of a response. This many take about a quarter of a second. Most responses of 1 MiB have fewer
# nodes, but a list of short numbers may have up to half a million: then its validation is errored.
MAX_NODES = 200_000
# The cost, in nodes, of compiling a regular expression found in the data, and of searching a text.
_COMPILATION = 1_000
_STATES_PER_NODE = 500
_SELECTORS = (Filter, IndexSelector, NameSelector, SliceSelector, WildcardSelector)
_LITERALS = (FilterExpressionLiteral, Nil)
_PATHS = JSONPathEnvironment(strict=True)


class QueryTooLargeError(Exception):
    """A query would visit more nodes than MAX_NODES."""


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


# RFC 9535's `Nothing`: the value of a missing node.
_NOTHING: Final = _Nothing()


class Budget:
    """The number of nodes that may still be visited."""

    __slots__ = ("_left",)

    def __init__(self, nodes: int = MAX_NODES) -> None:
        self._left = nodes

    def spend(self, nodes: int) -> None:
        """Raises:
        QueryTooLargeError: the budget is spent.
        """
        self._left -= nodes
        if self._left < 0:
            raise QueryTooLargeError


@dataclass(frozen=True, slots=True)
class Query:
    """`is_singular`: the query selects at most one value (RFC 9535, 2.3.5.1)."""

    text: str
    is_singular: bool
    _path: JSONPath = field(repr=False)

    def values(self, document: Any, budget: Budget) -> list[Any]:
        """The selected values, in the order of RFC 9535.

        Raises:
            QueryTooLargeError: the budget is spent.
        """
        return _Evaluation(document, budget).select(self._path, document)


@lru_cache(maxsize=1024)
def compile_query(text: str) -> Query:
    """Raises:
    ValueError: the text is not a JSONPath of RFC 9535, or may visit too many nodes.
    """
    if len(text) > MAX_PATH_LENGTH:
        raise ValueError(f"{text[:40]!r}… is too long for a JSONPath: at most {MAX_PATH_LENGTH} characters")
    try:
        path = _PATHS.compile(text)
    except (JSONPathError, RecursionError) as error:
        reason = str(error).partition("\n")[0].replace("TOKEN_", "")
        raise ValueError(
            f"{text!r} is not a JSONPath: {reason}; it must begin with '$', for example '$.status'"
        ) from error
    if not isinstance(path, JSONPath):
        raise ValueError(f"{text!r} is not a JSONPath: it joins several paths; write each as its own key")  # noqa: TRY004
    descents = _count_descents(path, text)
    if descents > MAX_DESCENTS:
        raise ValueError(
            f"{text!r} has {descents} '..': at most {MAX_DESCENTS}, because each one multiplies the nodes "
            "to visit; name the keys in between"
        )
    return Query(text, path.singular_query(), path)


def _count_descents(path: JSONPath, text: str) -> int:
    """Count the `..` of a path, including those in its filters.

    Raises:
        ValueError: the path has parts that are not in RFC 9535, or an unusable regular expression.
    """
    count = 0
    for segment in path.segments:
        count += isinstance(segment, JSONPathRecursiveDescentSegment)
        for selector in segment.selectors:
            if not isinstance(selector, _SELECTORS):
                raise ValueError(f"{text!r} is not a JSONPath: {str(selector)!r} is not part of RFC 9535")  # noqa: TRY004
            if isinstance(selector, Filter):
                count += _count_descents_in_expression(selector.expression, text)
    return count


def _count_descents_in_expression(expression: BaseExpression, text: str) -> int:
    if isinstance(expression, FilterQuery):
        return _count_descents(expression.path, text)
    if isinstance(expression, FunctionExtension) and expression.name in {"match", "search"}:
        _check_pattern(expression, text)
    return sum(_count_descents_in_expression(child, text) for child in expression.children())


def _check_pattern(function: FunctionExtension, text: str) -> None:
    pattern = function.args[1]
    if isinstance(pattern, FilterExpressionLiteral) and isinstance(pattern.value, str):
        try:
            compile_iregexp(pattern.value)
        except ValueError as error:
            raise ValueError(f"{text!r} has a {function.name}() that cannot be used: {error}") from error


def are_equal(value: Any, other: Any, budget: Budget | None = None) -> bool:
    """Whether two JSON values are equal. Unlike in Python, true does not equal 1 at any depth."""
    spend = (budget or Budget(sys.maxsize)).spend
    left = [(value, other)]
    while left:
        first, second = left.pop()
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            spend(len(first))
            if first.keys() != second.keys():
                return False
            left += [(first[key], second[key]) for key in first]
        elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
            if len(first) != len(second):
                return False
            spend(len(first))
            left += zip(first, second, strict=True)
        elif first != second or isinstance(first, bool) is not isinstance(second, bool):
            return False
    return True


class _Evaluation:
    """One query's evaluation over one document."""

    def __init__(self, root: Any, budget: Budget) -> None:
        self._root = root
        self._spend = budget.spend
        self._budget = budget
        # Absolute queries inside filters select the same values for every node.
        self._absolute: dict[int, list[Any]] = {}
        self._patterns: dict[str, Any] = {}

    def select(self, path: JSONPath, start: Any) -> list[Any]:
        nodes = [start]
        for segment in path.segments:
            reached: Iterable[Any] = nodes
            if isinstance(segment, JSONPathRecursiveDescentSegment):
                reached = (found for node in nodes for found in self._descendants(node))
            nodes = [
                found
                for node in reached
                for selector in segment.selectors
                for found in self._selected(selector, node)
            ]
        return nodes

    def _descendants(self, node: Any) -> Iterator[Any]:
        """The node and all nodes below it that have children, parents first."""
        left = [node]
        while left:
            candidate = left.pop()
            if isinstance(candidate, dict | list):
                self._spend(1 + len(candidate))
                yield candidate
                left += reversed(candidate.values() if isinstance(candidate, dict) else candidate)

    def _selected(self, selector: JSONPathSelector, node: Any) -> Iterable[Any]:
        self._spend(1)
        if isinstance(selector, NameSelector):
            return [node[selector.name]] if isinstance(node, dict) and selector.name in node else []
        if isinstance(selector, IndexSelector):
            is_there = isinstance(node, list) and -len(node) <= selector.index < len(node)
            return [node[selector.index]] if is_there else []
        children = node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else []
        if isinstance(selector, SliceSelector):
            step = 1 if selector.slice.step is None else selector.slice.step
            children = node[selector.slice] if isinstance(node, list) and step else []
        self._spend(len(children))
        if isinstance(selector, Filter):
            return [child for child in children if self._holds(selector.expression, child)]
        return children

    def _holds(self, expression: BaseExpression, current: Any) -> bool:
        self._spend(1)
        if isinstance(expression, FilterExpression):
            return self._holds(expression.expression, current)
        if isinstance(expression, PrefixExpression):
            return not self._holds(expression.right, current)
        if isinstance(expression, FunctionExtension):
            return self._matches(expression, current)
        if isinstance(expression, FilterQuery):
            return bool(self._nodes(expression, current))
        assert isinstance(expression, InfixExpression)  # noqa: S101 - the only other kind in RFC 9535
        return self._both(expression.left, expression.operator, expression.right, current)

    def _both(self, left: BaseExpression, operator: str, right: BaseExpression, current: Any) -> bool:
        if operator == "&&":
            return self._holds(left, current) and self._holds(right, current)
        if operator == "||":
            return self._holds(left, current) or self._holds(right, current)
        return self._compare(self._value(left, current), operator, self._value(right, current))

    def _nodes(self, query: BaseExpression, current: Any) -> list[Any]:
        if isinstance(query, RelativeFilterQuery):
            return self.select(query.path, current)
        assert isinstance(query, RootFilterQuery)  # noqa: S101 - the only other kind
        if id(query) not in self._absolute:
            self._absolute[id(query)] = self.select(query.path, self._root)
        return self._absolute[id(query)]

    def _value(self, expression: BaseExpression, current: Any) -> Any:
        """The value of a comparable; queries among comparables are singular."""
        if isinstance(expression, _LITERALS):
            return getattr(expression, "value", None)
        if isinstance(expression, FilterQuery):
            nodes = self._nodes(expression, current)
            return nodes[0] if nodes else _NOTHING
        assert isinstance(expression, FunctionExtension)  # noqa: S101 - the only other kind in RFC 9535
        (argument,) = expression.args
        if expression.name == "length":
            value = self._value(argument, current)
            return len(value) if isinstance(value, str | list | dict) else _NOTHING
        nodes = self._nodes(argument, current)
        if expression.name == "count":
            return len(nodes)
        return nodes[0] if len(nodes) == 1 else _NOTHING

    def _compare(self, left: Any, operator: str, right: Any) -> bool:
        if operator in {"==", "!="}:
            return self._equal(left, right) is (operator == "==")
        if operator in {">", ">="}:
            left, right, operator = right, left, operator.replace(">", "<")
        return _is_less(left, right) or (operator == "<=" and self._equal(left, right))

    def _equal(self, left: Any, right: Any) -> bool:
        if left is _NOTHING or right is _NOTHING:
            return left is right
        return are_equal(left, right, self._budget)

    def _matches(self, function: FunctionExtension, current: Any) -> bool:
        text, pattern = (self._value(argument, current) for argument in function.args)
        if not isinstance(text, str) or not isinstance(pattern, str):
            return False
        compiled = self._compiled(pattern)
        if compiled is None:
            return False
        # In the worst case, RE2 takes time in proportion to the text times the pattern.
        self._spend(1 + len(text) * compiled.programsize // _STATES_PER_NODE)
        # JSON may contain half of a surrogate pair, which has no UTF-8 form to search in.
        searched = text.encode("utf-8", "replace").decode("utf-8")
        return bool(compiled.fullmatch(searched) if function.name == "match" else compiled.search(searched))

    def _compiled(self, pattern: str) -> Any:
        if pattern not in self._patterns:
            self._spend(_COMPILATION)
            try:
                self._patterns[pattern] = compile_iregexp(pattern)
            except ValueError:
                # RFC 9535, 2.4.6: an invalid regular expression matches nothing.
                self._patterns[pattern] = None
        return self._patterns[pattern]


def _is_less(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    numbers = all(isinstance(side, int | float) and not isinstance(side, bool) for side in (left, right))
    return numbers and bool(left < right)
