"""How long it takes to read a document: `python benchmarks/validate_document.py`; exits with 1 on a miss.

Goals: 250 ms for a document of 1,000 steps, 100 ms for any other document: with thousands of mistakes, with
patterns that are slow to compile, or with variables everywhere.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scenarios.domain import json_queries, patterns
from scenarios.domain.errors import InvalidDocument
from scenarios.drivers import load_drivers
from scenarios.language.document import build_plan, parse_document

DRIVERS = {
    name: driver.Arguments
    for name, driver in load_drivers(
        ["scenarios.drivers.http.Http", "scenarios.drivers.tcp.Tcp", "scenarios.drivers.wait.Wait"]
    ).items()
}
FULL = 256 * 1024
ROUNDS = 7
HEAD = """apiVersion: coordinator/v1
kind: Scenario
metadata: {name: large}
spec:
  variables: {delay: {type: integer, default: 500}}
  phases:
"""
PHASE = """  - name: phase {index}
    hold: 1s
    actions:
    - name: slow down
      do: {{http: {{service: s, method: POST, path: /chaos, json: {{delay: "${{delay}}"}}}}}}
      undo: {{http: {{service: s, method: DELETE, path: /chaos}}}}
    validations:
    - {{name: a, within: 5s, probe: {{http: {{service: s, path: /a}}}}, expect: {{status: 200}}}}
    - {{name: b, probe: {{http: {{service: s, path: /b}}}}, expect: {{json: {{"$.a": {{above: 3}}}}}}}}
"""


def steps(count: int) -> str:
    return HEAD + "".join(PHASE.format(index=index) for index in range(count // 4))


def read(source: str) -> None:
    parse_document(source, DRIVERS)


def read_and_plan(source: str) -> None:
    build_plan(parse_document(source, DRIVERS), {})


def refuse(source: str) -> None:
    try:
        parse_document(source, DRIVERS)
    except InvalidDocument:
        return
    raise AssertionError("it was not refused")


def phases(count: int, words: str) -> str:
    return HEAD + "".join(f"  - {{name: p{index}, {words}}}\n" for index in range(count))


def many(count: int, entry: str) -> str:
    return ", ".join(entry.replace("#", str(index)) for index in range(count))


def checks(count: int, expect: str) -> str:
    return phases(count, f"validations: [{{name: v, probe: {{http: {{service: s}}}}, expect: {expect}}}]")


def variables(count: int, words: str, more: str = "hold: 1s") -> str:
    top = HEAD.partition("  variables:")[0]
    declared = "".join(f"    v{index}: {{{words}}}\n" for index in range(count))
    return f"{top}  variables:\n{declared}  phases: [{{name: p, {more}}}]\n"


def bodies(count: int, value: str, *more: str) -> str:
    values = ", ".join([value] * count + list(more))
    return f"actions: [{{name: a, do: {{http: {{service: s, json: [{values}]}}}}}}]"


def short_variable(source: str) -> str:
    return source.replace("{delay: ", "{d: ", 1)


LONG_PATH = '"$.a#[?' + "@.b=='c' && " * 13 + '@.d]": [1]'
TEMPLATE = '"${delay}"'
SHORT = '"${d}"'
MISTAKES = {
    "24,000 actions that are none": phases(24, f"actions: [{many(990, 'x')}]"),
    "11,000 unknown words": phases(12, many(900, "k#: 1")),
    "11,000 unknown drivers": phases(12, f"actions: [{{name: a, do: {{{many(900, 'd#: 1')}}}}}]"),
    "11,000 JSONPaths": checks(12, f"{{json: {{{many(900, 'a#: 1')}}}}}"),
    "5,000 regular expressions": checks(6, "{" + many(900, "a#: {matches: '(a#'}") + "}"),
    "99 slow regular expressions": checks(1, "{" + many(99, "a#: {matches: '(?i)\\pL{1,1000}#'}") + "}"),
    "24,000 phases": f"{HEAD}    [{many(24_000, 'x')}]\n",
    "8,000 undefined variables": phases(1, f"description: '{many(8_000, '${v#}')}'"),
    "variables that burst the document": variables(
        1, f"type: string, default: {'y' * 9_000}", f"description: '{'${v0}' * 30_000}'"
    ),
}
VALID = {
    "999 variables": variables(999, "type: integer, default: 5, min: 0, max: 9, description: d"),
    "99 long JSONPaths": checks(1, f"{{json: {{{many(99, LONG_PATH)}}}}}"),
    "18,000 values with a variable": phases(20, bodies(900, TEMPLATE)),
    # As many values as a document may have, as short as they can be.
    "24,400 values with a variable": short_variable(phases(25, bodies(976, SHORT))),
    "... and a secret among them": short_variable(phases(25, bodies(975, SHORT, "'${secret:s}'"))),
}
DOUBLING = "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 21))
CASES: list[tuple[str, Callable[[str], None], str, float]] = [
    ("validate 1,000 steps", read, steps(1000), 250),
    ("validate and plan 1,000 steps", read_and_plan, steps(1000), 500),
    ("refuse 1,001 steps", refuse, steps(1004), 100),
    ("refuse 257 KiB", refuse, "a: " + "x" * (FULL + 1024), 100),
    ("refuse 256 KiB of [", refuse, "[" * FULL, 100),
    ("refuse 256 KiB of '- '", refuse, "- " * (FULL // 2), 100),
    ("refuse 131,000 values", refuse, "[" + "a," * (FULL // 2 - 1) + "]", 100),
    ("refuse 26,000 keys", refuse, "\n".join(f"k{i}: 1" for i in range(FULL // 10)), 100),
    ("refuse aliases that double", refuse, "a0: &a0 [x, x]\n" + DOUBLING, 100),
    ("refuse aliases of a long text", refuse, f"a: &a {'x' * 60_000}\nb: [*a, *a, *a, *a, *a]\n", 100),
    *((f"refuse {name}", refuse, source, 100) for name, source in MISTAKES.items()),
    *((f"validate {name}", read, source, 100) for name, source in VALID.items()),
    ("refuse a tag", refuse, "a: !!python/object:os.system x\n" + "#" * (FULL - 100), 100),
]


def main() -> int:
    refuse("a: 1")  # builds the models, once for a process
    print(f"{'what':<40}{'median ms':>10}{'goal ms':>9}")
    missed = 0
    for name, measure, source, goal in CASES:
        times = []
        for _ in range(ROUNDS):
            json_queries.compile_query.cache_clear()
            patterns.compile_pattern.cache_clear()
            started = time.perf_counter()
            measure(source)
            times.append((time.perf_counter() - started) * 1000)
        median = statistics.median(times)
        missed += median > goal
        print(f"{name:<40}{median:>10.1f}{goal:>9.0f}{'  MISSED' if median > goal else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
