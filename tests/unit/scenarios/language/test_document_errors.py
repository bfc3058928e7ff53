"""Errors of documents: message, hint, line and column."""

import pytest

from tests.unit.scenarios.language.documents import WAIT, Problems, WithSpec, phase_with

# Each row: the spec from line 5 on; the line of the problem, and the text at its column; words of its
# message and of its hint.
REFUSED = {
    "an unknown key": (phase_with("hodl: 5s"), 7, "hodl", "unknown key 'hodl'", "did you mean 'hold'?"),
    "an unknown argument": (
        phase_with("actions: [{name: a, do: {http: {service: s, metod: GET}}}]"),
        7,
        "metod",
        "unknown key 'metod' in 'http'",
        "did you mean 'method'?",
    ),
    "an unknown driver": (
        phase_with("actions: [{name: a, do: {htp: {}}}]"),
        7,
        "htp",
        "unknown driver 'htp'",
        "'http'",
    ),
    "a wrong type": (phase_with("actions: {name: a}"), 7, "{name", "a mapping is not a list", "'- '"),
    "a wrong type of an argument": (
        phase_with("actions: [{name: a, do: {tcp: {host: h, port: '80'}}}]"),
        7,
        "'80'",
        "'80' is not a whole number",
        "without quotes",
    ),
    "a number out of range": (
        phase_with("actions: [{name: a, do: {tcp: {host: h, port: 99999}}}]"),
        7,
        "99999}}}",
        "99999 is not allowed: it must be at most 65535",
        "",
    ),
    "a missing key": (
        phase_with("actions: [{do: {wait: {duration: 1s}}}]"),
        7,
        "{do",
        "'name' is missing",
        "",
    ),
    "sensitive among the arguments": (
        phase_with("actions: [{name: a, do: {tcp: {host: h, port: 1, sensitive: true}}}]"),
        7,
        "sensitive",
        "'sensitive' is not an argument of 'tcp'",
        "write 'sensitive: true' beside 'tcp'",
    ),
    "two drivers in one step": (
        phase_with("actions: [{name: a, do: {wait: {duration: 1s}, tcp: {host: h, port: 1}}}]"),
        7,
        "tcp",
        "two drivers, 'wait' and 'tcp'",
        "",
    ),
    "no driver in a step": (phase_with("actions: [{name: a, do: {}}]"), 7, "do", "has no driver", ""),
    "an undo of nothing": (
        phase_with("actions: [{name: a, do: {wait: {duration: 1s}}, undo: null}]"),
        7,
        "null}",
        "null is not a mapping",
        "",
    ),
    "an undefined variable": (
        "variables: {delay: {type: duration, default: 1s}}\n" + phase_with('hold: "${dela}"'),
        8,
        '"${dela}"',
        "'${dela}' is undefined",
        "did you mean 'delay'?",
    ),
    "an unclosed variable": (phase_with('hold: "${dela"'), 7, '"${dela"', "is not closed", ""),
    "a variable in a key": (
        "variables: {v: {type: string, default: x}}\n"
        + phase_with('actions: [{name: a, do: {http: {service: s, json: {"${v}": 1}}}}]'),
        8,
        '"${v}"',
        "is a key with a variable",
        "literal",
    ),
    "a duplicate phase name": ("phases:\n- {name: p}\n- {name: p}", 7, "p}", "duplicate name 'p'", "line 6"),
    "a duplicate action name": (
        phase_with("actions:\n" + "  - {name: a, do: {wait: {duration: 1s}}}\n" * 2),
        9,
        "a",
        "another action has it",
        "line 8",
    ),
    "a duplicate validation name": (
        phase_with(
            "validations:\n" + "  - {name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}}\n" * 2
        ),
        9,
        "v",
        "another validation has it",
        "line 8",
    ),
    "a duplicate guard name": (
        "guards:\n" + "- {name: g, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}}\n" * 2 + WAIT,
        7,
        "g",
        "another guard has it",
        "line 6",
    ),
    "a bare number as duration": (phase_with("hold: 5"), 7, "5", "5 is a number without a unit", ""),
    "a negative duration": (phase_with("hold: -5s"), 7, "-5s", "'-5s' is not a duration", ""),
    "an empty duration": (phase_with("hold: ''"), 7, "''", "empty duration", ""),
    "no time between polls": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}, every: 0s}]"
        ),
        7,
        "0s}",
        "greater than zero",
        "",
    ),
    "within and throughout": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}, within: 1s,"
            " throughout: true}]"
        ),
        7,
        "throughout",
        "cannot be combined",
        "",
    ),
    "within and a share throughout": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}, within: 1s,"
            " throughout: {success: 99%}}]"
        ),
        7,
        "throughout",
        "cannot be combined",
        "",
    ),
    "a share of more than all looks": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1},"
            " throughout: {success: 101%}}]"
        ),
        7,
        "101%",
        "'101%' is not a share",
        "",
    ),
    "a misspelt share": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1},"
            " throughout: {success: 99%, succes: 1}}]"
        ),
        7,
        "succes: 1",
        "unknown key 'succes' in 'throughout'",
        "did you mean 'success'?",
    ),
    "a share in place of its mapping": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}, throughout: 99%}]"
        ),
        7,
        "99%",
        "'99%' is not true or false",
        "",
    ),
    "a regression without a figure": (
        "regression: {expect: {}}\n" + WAIT,
        5,
        "expect",
        "'expect' is empty: name a figure, one of time_to_detect, time_to_recover",
        "",
    ),
    "a regression of an unknown figure": (
        "regression: {expect: {time_to_recovr: {at_most: 2x}}}\n" + WAIT,
        5,
        "time_to_recovr",
        "unknown key 'time_to_recovr' in 'expect'",
        "did you mean 'time_to_recover'?",
    ),
    "a regression without a multiple": (
        "regression: {expect: {time_to_recover: {at_most: 2s}}}\n" + WAIT,
        5,
        "2s",
        "'2s' is not a multiple: write a number above 0 and an 'x'",
        "",
    ),
    "a regression of nothing": (
        "regression: {expect: {time_to_recover: {at_most: 0x}}}\n" + WAIT,
        5,
        "0x",
        "'0x' is not a multiple",
        "",
    ),
    "for without within": (
        phase_with("validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: 1}, for: 1s}]"),
        7,
        "for",
        "'for' requires 'within'",
        "",
    ),
    "an unknown matcher": (
        phase_with("validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: {abov: 1}}}]"),
        7,
        "abov",
        "unknown key 'abov' in 'elapsed'",
        "did you mean 'above'?",
    ),
    "a bad JSONPath": (
        phase_with("validations: [{name: v, probe: {http: {service: s}}, expect: {json: {status: 1}}}]"),
        7,
        "status",
        "'status' is not a JSONPath",
        "",
    ),
    "a bad regular expression": (
        phase_with("validations: [{name: v, probe: {http: {service: s}}, expect: {body: {matches: '('}}}]"),
        7,
        "'('",
        "'(' is not a regular expression",
        "",
    ),
    "a regular expression that looks around": (
        phase_with(
            "validations: [{name: v, probe: {http: {service: s}}, expect: {body: {matches: '(?=a)'}}}]"
        ),
        7,
        "'(?=a)'",
        "'(?=a)' is not a regular expression: invalid perl operator",
        "",
    ),
    "a regular expression that repeats too much": (
        phase_with(
            "validations: [{name: v, probe: {http: {service: s}}, expect: {body: {matches: '(a?b?){999}'}}}]"
        ),
        7,
        "'(a?b?){999}'",
        "too large for a regular expression",
        "",
    ),
    "a range upside down": (
        phase_with(
            "validations: [{name: v, probe: {wait: {duration: 1s}}, expect: {elapsed: {between: [3, 1]}}}]"
        ),
        7,
        "between",
        "not a range",
        "",
    ),
    "a default beyond its maximum": (
        "variables: {v: {type: integer, default: 9, max: 5}}\n" + WAIT,
        5,
        "default",
        "the default is 9: it must be at most 5",
        "",
    ),
    "a default of another type": (
        "variables: {v: {type: integer, default: x}}\n" + WAIT,
        5,
        "default",
        "'x', not a whole number",
        "",
    ),
    "a default that does not fit where it is used": (
        "variables: {v: {type: string, default: x}}\n" + phase_with('hold: "${v}"'),
        8,
        '"${v}"',
        "'x' is not a duration",
        "the default of '${v}'",
    ),
    "a name with a line break": (
        phase_with('description: x\n  on_failure: "stop"\n- name: "a\\nb"'),
        9,
        '"a\\nb"',
        "line break",
        "",
    ),
    "an unknown choice": (phase_with("on_failure: stopp"), 7, "stopp", "'stopp' is not allowed", "'stop'"),
    "no phase at all": ("phases: []", 5, "[", "at least 1", ""),
    "an address of two kinds": (
        phase_with("actions: [{name: a, do: {http: {service: s, url: 'http://x'}}}]"),
        7,
        "service",
        "'service' and 'url' cannot be combined",
        "",
    ),
}


@pytest.mark.parametrize(("spec", "line", "at", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_broken_rule_is_reported_at_its_line_and_column(
    spec: str, line: int, at: str, message: str, hint: str, *, with_spec: WithSpec, problems: Problems
) -> None:
    source = with_spec(spec)
    (problem,) = problems(source)
    assert problem.line == line
    assert source.splitlines()[line - 1][problem.column - 1 :].startswith(at)
    assert message in problem.message
    assert hint in problem.hint


def test_a_name_is_a_dns_label(example: str, problems: Problems) -> None:
    (problem,) = problems(example.replace("name: exchange-latency ", "name: Exchange_Latency "))
    assert "'Exchange_Latency' is not a DNS label" in problem.message
    assert problem.path == "metadata.name"


def test_variables_are_filled_in_only_in_the_parts_that_run(example: str, problems: Problems) -> None:
    (problem,) = problems(example.replace("name: exchange-latency ", 'name: "${service}" '))
    assert "'${service}' is not a DNS label" in problem.message


def test_all_problems_are_reported_at_once_in_document_order(example: str, problems: Problems) -> None:
    broken = (
        example.replace("timeout: 5m ", "timeout: 5 ")
        .replace("tags: [exchange, latency]", "tags: exchange")
        .replace("method: POST, path: /chaos", "metod: POST, path: /chaos")
        .replace('service: "${service}", path: /health', 'service: "${servic}", path: health')
        .replace("name: recovery", "name: chaos")
    )
    found = problems(broken)
    assert [problem.path for problem in found] == [
        "metadata.tags",
        "spec.timeout",
        "spec.phases[0].validations[0].probe.http.service",
        "spec.phases[0].validations[0].probe.http.path",
        "spec.phases[1].actions[0].do.http.metod",
        "spec.phases[2].name",
    ]
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)


def test_messages_never_contain_pydantics_wording(problems: Problems, with_spec: WithSpec) -> None:
    validation = "{expect: {a: {above: x, exists: 1}}}"
    phase = f"{{name: 3, hold: [], actions: x, on_failure: 5, validations: [{validation}]}}"
    spec = f"phases: [null, {phase}]"
    said = " ".join(str(problem) for problem in problems(with_spec(spec)))
    assert not [
        word for word in ("Input", "valid dictionary", "instance of", "Extra", "pydantic") if word in said
    ]
