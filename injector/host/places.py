"""The places whose connections are redirected: the kernel follows only the first redirect of each."""

from __future__ import annotations

import json
from typing import Any, Iterator, Sequence, Tuple

from injector.host.arguments import Json, Record, Refusal
from injector.host.programs import run_program
from injector.host.rules import find_table
from injector.host.store import TABLE

Place = Tuple[str, int]


def check_redirects(target: Json, others: Sequence[Record]) -> None:
    """Refuse a place that is redirected already, by one of these faults or from another state directory.

    Raises:
        Refusal: its sentence names what redirects it.
    """
    places = [(end["address"], end["port"]) for end in target["ends"]]
    for other in others:
        for end in other["target"]["ends"]:
            if (end["address"], end["port"]) in places:
                raise Refusal(
                    f"{end['address']!r}, port {end['port']}, is redirected by the fault {other['id']!r} "
                    f"({other['kind']}) already; remove that one first"
                )
    for table in list_tables():
        taken = set(places) & set(list_redirected(table)) if table != find_table(target) else set()
        for address, port in sorted(taken):
            raise Refusal(
                f"{address!r}, port {port}, is redirected by a fault of another state directory already (see "
                f"'nft list table {table}'); remove that one first"
            )


def list_tables() -> Iterator[str]:
    """Those of all state directories in this network namespace."""
    for part in _list(["tables"]):
        table = part.get("table", {})
        if table.get("family") == "inet" and str(table.get("name")).startswith(TABLE):
            yield f"inet {table['name']}"


def list_redirected(table: str) -> Iterator[Place]:
    """The addresses and ports whose redirect has not expired."""
    parts = _list(["table", *table.split()])
    sets = {part["set"]["name"]: part["set"].get("elem", []) for part in parts if "set" in part}
    for part in parts:
        expressions = part.get("rule", {}).get("expr", [])
        if not any("redirect" in expression for expression in expressions):
            continue
        matched = [expression.get("match", {}).get("right") for expression in expressions]
        port = next((value for value in matched if isinstance(value, int)), 0)
        for element in sets.get(part["rule"]["chain"], []):
            yield str(element["elem"]["val"] if isinstance(element, dict) else element), port


def _list(words: Sequence[str]) -> list[dict[str, Any]]:
    listed = run_program(["nft", "--json", "list", *words])
    found = json.loads(listed.stdout)["nftables"] if listed.returncode == 0 else []
    return [part for part in found if isinstance(part, dict)]
