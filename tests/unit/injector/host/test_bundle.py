"""The host program as one text: every module is in it once, and it does what the modules do."""

import ast
import json
import marshal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from injector.host import bundle, store
from tests.servers.target_host import KINDS, PROGRAM, TargetHost, read_state, sleeper, write_program

FOLDER = Path(bundle.__file__).parent
APART = {"__init__", "bundle"}


def parse_module(name: str) -> ast.Module:
    return ast.parse((FOLDER / f"{name}.py").read_text(), feature_version=(3, 8))


def list_names(module: ast.Module) -> Iterator[str]:
    """What the module defines at its top level."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            stored = (name for name in ast.walk(node) if isinstance(name, ast.Name))
            yield from (name.id for name in stored if isinstance(name.ctx, ast.Store))


def test_every_module_is_in_the_text() -> None:
    assert sorted(bundle.MODULES) == sorted({file.stem for file in FOLDER.glob("*.py")} - APART)


def test_modules_import_what_is_before_them_by_its_own_name() -> None:
    """The text has no imports between them: an alias, or an import of a module, would be missing there."""
    for place, name in enumerate(bundle.MODULES):
        for node in ast.walk(parse_module(name)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("injector"):
                assert node.col_offset == 0, name
                assert (node.module or "").removeprefix("injector.host.") in bundle.MODULES[:place], name
                assert not [alias.name for alias in node.names if alias.asname]
            if isinstance(node, ast.Import):
                assert not [alias.name for alias in node.names if alias.name.startswith("injector")], name


def test_no_name_is_defined_by_two_modules() -> None:
    counted = Counter(name for module in bundle.MODULES for name in list_names(parse_module(module)))
    assert [name for name, number in counted.items() if number > 1] == []


def test_text_is_of_the_grammar_of_python_3_8() -> None:
    for text in (bundle.build_program(), PROGRAM.read_text(), Path(bundle.__file__).read_text()):
        ast.parse(text, feature_version=(3, 8))
    assert "injector.host import" not in bundle.build_program()
    assert "from injector" not in bundle.build_program()


def test_command_writes_the_text() -> None:
    output = StringIO()
    call_command("host_program", stdout=output)
    assert output.getvalue() == bundle.build_program()


def test_installed_file_answers_as_the_checkout_does(tmp_path: Path) -> None:
    host = TargetHost(tmp_path)
    options = host.command[host.command.index("--state") :]
    answers = [
        subprocess.run(
            [sys.executable, "-I", str(program), *options],
            input='{"do": "describe"}',
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        ).stdout
        for program in (write_program(tmp_path), PROGRAM)
    ]
    assert answers[0] == answers[1]
    assert sorted(json.loads(answers[0])["kinds"]) == sorted(KINDS.split(","))


def test_installed_file_starts_guardians(tmp_path: Path) -> None:
    host, pid_file = TargetHost(tmp_path), tmp_path / "shop.pid"
    host.program = write_program(tmp_path)
    with sleeper(pid_file) as shop:
        assert host.inject("f1", "pause", pidfile=str(pid_file))["ok"]
        assert read_state(shop.pid) == "T"
        assert host.ask("remove", id="f1")["was_there"]
        assert read_state(shop.pid) != "T"


def answer_streamed(host: TargetHost, request: str) -> dict[str, Any]:
    command = [sys.executable, "-", *host.command[host.command.index("--state") :]]
    stream = bundle.build_streamed(request)
    ended = subprocess.run(command, input=stream, capture_output=True, text=True, check=True, cwd="/")
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_streamed_program_is_kept_compiled_for_the_next_call(tmp_path: Path) -> None:
    host = TargetHost(tmp_path)
    first = answer_streamed(host, '{"do": "describe"}')
    assert sorted(first["kinds"]) == sorted(KINDS.split(","))
    (kept,) = host.state.glob("program-*.pyc")
    text = 'def main(words, request):\n    print(\'{"ok": "kept"}\')\n    return 0\n'
    other = compile(text, "other", "exec")
    code = kept.read_bytes()
    kept.write_bytes(code[:16] + marshal.dumps(other))
    assert answer_streamed(host, '{"do": "describe"}') == {"ok": "kept"}
    broken = (b"", code[:16], code[:1000], b"\0" * len(code))
    for content in broken:
        kept.write_bytes(content)
        assert answer_streamed(host, '{"do": "describe"}') == first
        assert kept.read_bytes() == code
    for place in (kept, host.state):  # others may have written it
        kept.write_bytes(code[:16] + marshal.dumps(other))
        mode = place.stat().st_mode
        place.chmod(mode | 0o002)
        assert answer_streamed(host, '{"do": "describe"}') != {"ok": "kept"}
        place.chmod(mode)


def test_systemd_starts_guardians_from_a_compiled_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SOURCE", bundle.build_program)
    path = store.Store(str(tmp_path)).install_program()
    assert store.Store(str(tmp_path)).install_program() == path
    command = [sys.executable, "-IS", path, "--state", str(tmp_path / "state")]
    ended = subprocess.run(command, input='{"do": "sweep"}', capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == {"ok": True, "active": []}


def test_module_alone_refuses_to_start_a_guardian(tmp_path: Path) -> None:
    """Its text would not be the whole program."""
    host, pid_file = TargetHost(tmp_path), tmp_path / "shop.pid"
    with sleeper(pid_file):
        answer = host.ask_here(
            "inject", id="f1", lease=60, kind="pause", arguments={"pidfile": str(pid_file)}
        )
    assert "only the program in one text" in answer["reason"]
