"""The host program: injects, renews and removes faults on the machine that runs it.

One file, the standard library, Python 3.8: it is sent to the machine, or installed there as the forced
command of an ssh key. Each call reads one request from standard input, does one thing, and writes one
answer.

    {"do": "inject", "id": "run-7/fault-1", "lease": 15, "kind": "pause", "arguments": {"port": 8000}}
    {"do": "renew", "id": …, "lease": 15}
    {"do": "remove", "id": …}
    {"do": "is_present", "id": …}
    {"do": "describe", "kind": …, "arguments": …}
    {"do": "sweep"}

An answer has `ok`; if that is false, also `code` and `reason`. A process may serve: it answers one request
after another, each in a line, because its start takes longer than a call. What must last longer than the call
is held by the kernel (nftables), by systemd, or by a guardian: a separate process that ends the fault one
lease after its last renewal, by a clock that nobody can set, whatever happens to all other processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from typing import Any, Callable, Mapping, Sequence

from injector.host.arguments import REQUEST_MARK, SERVE_MARK, Json, Refusal
from injector.host.calls import Program
from injector.host.compiled import choose_directory
from injector.host.guardian import Guardian
from injector.host.kinds import KINDS
from injector.host.policy import ALLOW_LIST, Policy
from injector.host.store import Store

MAX_REQUEST = 64 * 1024
# How long a process waits for its next request.
SERVE_SECONDS = 60


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


def parse_options(words: Sequence[str] | None) -> argparse.Namespace:
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
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None, streamed: str | None = None) -> int:
    """Answer the request on standard input. The exit code is 0 if an answer was written."""
    options = parse_options(words)
    if options.guard:
        Guardian(Store(options.state), options.guard[-1]).run()
        return 0
    if streamed is None:
        first = sys.stdin.buffer.readline()
        if first.startswith(SERVE_MARK.encode()):
            sys.stdin.buffer.read(int(first.split()[-1]))  # the program, which is here already
            return serve(words)
        streamed = (first + sys.stdin.buffer.read()).decode("utf-8", "replace")
    write_answer(answer_text(options, streamed))
    return 0


def serve(words: Sequence[str] | None = None, keep: Callable[[], None] | None = None) -> int:
    """Answer the requests on standard input, one in each line, until none comes any more.

    Each is carried out as by a process of its own: what the machine allows is read again. `keep` is called
    when nobody waits.
    """
    options = parse_options(words)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    write_answer({"serves": 1})
    while True:
        # Nobody may tell this process that the machine was cut off.
        signal.alarm(SERVE_SECONDS)
        line = sys.stdin.buffer.readline(4 * MAX_REQUEST)
        signal.alarm(0)
        if not line.endswith(b"\n"):
            return 0
        text = line.decode("utf-8", "replace").strip()
        write_answer(answer_text(options, text) if text else {"serves": 1})
        reap_children()
        prepare_guardian(text)
        if text and keep is not None:
            keep()
            keep = None


def prepare_guardian(text: str) -> None:
    """Import what the guardian of the fault needs that was just described: it is injected next."""
    with contextlib.suppress(Refusal, ImportError):
        request = parse_request(text)
        kind = request.get("kind")
        if request.get("do") == "describe" and isinstance(kind, str) and kind in KINDS:
            KINDS[kind].prepare_guardian()


def reap_children() -> None:
    """Let go of guardians that have ended: nothing else would, as long as this process goes on."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer_text(options: argparse.Namespace, text: str) -> Json:
    kinds = None if options.allowed is None else [kind for kind in options.allowed.split(",") if kind]
    try:
        program = Program(Store(options.state), Policy(options.allow_list, kinds))
        return {"ok": True, **program.answer(parse_request(text))}
    except Refusal as refusal:
        return {"ok": False, "code": refusal.code, "reason": refusal.reason}
    except Exception as error:  # noqa: BLE001 - the caller reads one answer, whatever happens
        return {"ok": False, "code": "failed", "reason": f"{type(error).__name__}: {error}"}


def write_answer(answer: Json) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
