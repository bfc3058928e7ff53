"""The host program: injects, renews and removes faults on the machine that runs it.

One file, the standard library, Python 3.8: it is sent to the machine, or installed there as the forced
command of an ssh key. Each call reads one request from standard input, does one thing, writes one answer,
and exits.

    {"do": "inject", "id": "run-7/fault-1", "lease": 15, "kind": "pause", "arguments": {"port": 8000}}
    {"do": "renew", "id": …, "lease": 15}
    {"do": "remove", "id": …}
    {"do": "is_present", "id": …}
    {"do": "describe", "kind": …, "arguments": …}
    {"do": "sweep"}

An answer has `ok`; if that is false, also `code` and `reason`. What must last longer than the call is held by
the kernel (nftables), by systemd, or by a guardian: a separate process that ends the fault one lease after
its last renewal, by a clock that nobody can set, whatever happens to all other processes.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Mapping, Sequence

from injector.host.arguments import REQUEST_MARK, Refusal
from injector.host.calls import Program
from injector.host.compiled import choose_directory
from injector.host.guardian import Guardian
from injector.host.policy import ALLOW_LIST, Policy
from injector.host.store import Store

MAX_REQUEST = 64 * 1024


def parse_request(text: str) -> Mapping[str, Any]:
    """The request: an object, or the last line of what the coordinator streams.

    Raises:
        Refusal: it is neither.
    """
    lines = text.strip().splitlines()
    if lines and lines[-1].startswith(REQUEST_MARK):
        text = lines[-1][len(REQUEST_MARK) :]
    if len(text) > MAX_REQUEST:
        raise Refusal(f"a request has at most {MAX_REQUEST} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal("the request is not JSON") from error
    if not isinstance(found, dict):
        raise Refusal("the request must be a JSON object")
    return found


def main(words: Sequence[str] | None = None, streamed: str | None = None) -> int:
    """Answer the request on standard input. The exit code is 0 if an answer was written."""
    parser = argparse.ArgumentParser(
        prog="host_program",
        description="Injects faults into this machine.",
        # Without a width it asks for that of the terminal, with a library that is slow to import.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("--state", default=choose_directory(), metavar="DIRECTORY")
    parser.add_argument("--allow-list", default=ALLOW_LIST, metavar="FILE")
    parser.add_argument("--allowed", metavar="KINDS", help="without a list: kinds, with commas")
    parser.add_argument("guard", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    store = Store(options.state)
    if options.guard:
        Guardian(store, options.guard[-1]).run()
        return 0
    kinds = None if options.allowed is None else [kind for kind in options.allowed.split(",") if kind]
    try:
        text = sys.stdin.buffer.read().decode("utf-8", "replace") if streamed is None else streamed
        answer = {"ok": True, **Program(store, Policy(options.allow_list, kinds)).answer(parse_request(text))}
    except Refusal as refusal:
        answer = {"ok": False, "code": refusal.code, "reason": refusal.reason}
    except Exception as error:  # noqa: BLE001 - the caller reads one answer, whatever happens
        answer = {"ok": False, "code": "failed", "reason": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0
