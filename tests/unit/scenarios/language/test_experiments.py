"""Importing Chaos Toolkit experiments, with a list of the parts that cannot be carried over."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import InvalidDocument
from scenarios.language.document import parse_document
from scenarios.language.experiments.translation import is_experiment, translate
from tests.unit.scenarios.language.experiments import (
    DRIVERS,
    EXPERIMENT,
    HEALTHY,
    START,
    STOP,
    action,
    phases,
    translated,
)


def test_title_description_and_tags_are_carried_over() -> None:
    document, left_out = translated()
    assert document["metadata"] == {
        "name": "orders-survive-the-exchange-s-death",
        "title": "Orders survive the exchange's death",
        "description": "As it says.",
        "tags": ["exchange", "availability: high"],
    }
    assert left_out == ()


def test_the_hypothesis_becomes_validations_of_a_phase_before_and_one_after() -> None:
    document, _left_out = translated()
    assert list(phases(document)) == ["before", "method", "after"]
    (validation,) = phases(document)["before"]["validations"]
    assert validation["probe"] == {"http": {"url": "http://${host}:8081/health"}}
    assert (validation["expect"], validation["timeout"]) == ({"status": {"equals": 200}}, "8s")
    assert phases(document)["after"]["validations"] == [validation]


def test_the_method_becomes_a_phase_and_pauses_become_waits() -> None:
    method = phases(translated()[0])["method"]
    assert [translated_action["name"] for translated_action in method["actions"]] == [
        "stop the exchange",
        "pause after stop the exchange",
    ]
    assert method["actions"][1]["do"] == {"wait": {"duration": "5s"}}
    assert method["validations"][0]["expect"] == {"status": {"equals": 503}}


def test_actions_after_probes_begin_another_phase() -> None:
    document, _left_out = translated(method=[STOP, HEALTHY, START, HEALTHY])
    assert list(phases(document)) == ["before", "method", "method 2", "after"]


def test_background_action_becomes_an_action_with_at() -> None:
    method = [{**STOP, "pauses": {"after": 2.5}}, {**START, "background": True}]
    assert phases(translated(method=method, rollbacks=[])[0])["method"]["actions"][2]["at"] == "2.5s"


def test_single_rollback_becomes_the_undo_of_the_single_action() -> None:
    stop = phases(translated()[0])["method"]["actions"][0]
    assert stop["undo"] == {"command": {"run": ["kubectl", "scale", "--replicas=1"]}}
    assert stop["until"] == "run"


def test_several_rollbacks_run_in_the_experiments_order() -> None:
    document, _left_out = translated(rollbacks=[START, {**STOP, "name": "stop it for good"}])
    due = [
        translated_action["name"]
        for translated_action in phases(document)["method"]["actions"]
        if "undo" in translated_action
    ]
    assert due == ["rollback: stop it for good", "rollback: start the exchange"]


def test_configuration_becomes_variables() -> None:
    configuration = {
        "host": "h",
        "retries": 3,
        "ratio": 0.5,
        "strict": True,
        "region": {"type": "env", "key": "AWS_REGION", "default": "eu"},
        "limit": {"type": "env", "key": "LIMIT", "env_var_type": "int"},
    }
    translation = translate(json.dumps({**EXPERIMENT, "configuration": configuration}))
    declared = yaml.safe_load(translation.source)["spec"]["variables"]
    assert [(variable["type"], variable.get("default")) for variable in declared.values()] == [
        ("string", "h"),
        ("integer", 3),
        ("number", 0.5),
        ("boolean", True),
        ("string", "eu"),
        ("integer", None),
    ]
    assert "'LIMIT'" in declared["limit"]["description"]
    assert translation.left_out == ()


def test_structured_configuration_is_inserted_where_it_is_used() -> None:
    provider = {"type": "python", "module": "chaosaws.ec2", "func": "stop", "arguments": {"ids": "${ids}"}}
    document, _left_out = translated(
        configuration={"host": "h", "ids": ["a", "b"]}, method=[action("stop", provider)]
    )
    called = phases(document)["method"]["actions"][0]["do"]["chaostoolkit"]
    assert called["arguments"] == {"ids": ["a", "b"]}
    assert called["configuration"] == {"host": "${host}", "ids": ["a", "b"]}


def test_secrets_become_references_without_their_values() -> None:
    secrets = {"aws": {"key": {"type": "env", "key": "AWS_KEY"}, "token": "hunter2 in the open"}}
    python = {"type": "python", "module": "chaosaws.ec2", "func": "stop", "secrets": ["aws"]}
    http = {"type": "http", "url": "http://127.0.0.1/", "headers": {"Authorization": "Bearer ${token}"}}
    document, left_out = translated(secrets=secrets, method=[action("a", python), action("b", http)])
    first, second = (
        translated_action["do"]
        for translated_action in phases(document)["method"]["actions"]
        if "undo" not in translated_action
    )
    assert first["chaostoolkit"]["secrets"] == {"key": "${secret:AWS_KEY}", "token": "${secret:aws_token}"}
    assert second["http"]["headers"] == {"Authorization": "Bearer ${secret:aws_token}"}
    assert "hunter2" not in json.dumps(document) + str(left_out)
    assert "'aws_token'" in left_out[0].hint


def test_text_that_only_looks_like_a_reference_is_unchanged() -> None:
    http = {"type": "http", "url": "http://127.0.0.1/", "method": "POST", "arguments": "${nobody} $$5"}
    method = phases(translated(method=[action("a", http)], rollbacks=[])[0])["method"]
    assert method["actions"][0]["do"]["http"]["body"] == "$${nobody} $5"


@pytest.mark.parametrize(
    ("provider", "step"),
    [
        ({"arguments": {"a": 1}}, {"query": {"a": 1}}),
        (
            {"method": "POST", "headers": {"Content-Type": "application/json"}, "arguments": {"a": [1]}},
            {"method": "POST", "headers": {"Content-Type": "application/json"}, "json": {"a": [1]}},
        ),
        (
            {"method": "PUT", "arguments": {"a": "b c"}},
            {
                "method": "PUT",
                "body": "a=b+c",
                "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            },
        ),
    ],
)
def test_arguments_of_a_request_become_query_json_or_form(
    provider: dict[str, Any], step: dict[str, Any]
) -> None:
    http = {"type": "http", "url": "http://127.0.0.1/", **provider}
    method = phases(translated(method=[action("a", http)])[0])["method"]
    assert method["actions"][0]["do"]["http"] == {"url": "http://127.0.0.1/", **step}


LEFT_OUT: list[tuple[dict[str, Any], str]] = [
    ({"controls": [{"name": "c"}]}, "'controls' of the experiment is not carried over"),
    ({"method": [action("a", {"type": "ssh"})]}, "its provider has the type 'ssh'"),
    ({"method": [{"ref": "nobody"}]}, "no activity is named 'nobody'"),
    (
        {"method": [action("a", {"type": "process", "path": "kubectl", "arguments": "get | grep x"})]},
        "a shell reads its arguments, 'get | grep x'",
    ),
    ({"method": [{**HEALTHY, "tolerance": {"type": "probe", "name": "p"}}]}, "because of its tolerance"),
    (
        {"method": [{**HEALTHY, "tolerance": {"type": "jsonpath", "path": "$.a[", "expect": 1}}]},
        "because of its tolerance",
    ),
    (
        {"method": [{**HEALTHY, "tolerance": {"type": "jsonpath", "path": "$.a", "count": 2}}]},
        "because of its tolerance",
    ),
    (
        {"method": [{**HEALTHY, "tolerance": {"type": "regex", "target": "status", "pattern": "ok"}}]},
        "because of its tolerance",
    ),
    (
        {"method": [action("a", {"type": "http", "url": "https://x/", "verify_tls": "/etc/ca.pem"})]},
        "'verify_tls' of activity 'a' is '/etc/ca.pem'",
    ),
    (
        {"method": [{**HEALTHY, "provider": {"type": "http", "url": "http://x/", "max_retries": 3}}]},
        "'max_retries' of activity 'the exchange is healthy'",
    ),
    ({"rollbacks": [{**START, "pauses": {"after": 5}}]}, "pauses of the rollback"),
    ({"configuration": {"host": {"type": "vault", "path": "x"}}}, "comes from 'vault'"),
]


@pytest.mark.parametrize(
    ("url", "given", "words"),
    [
        ("https://shop.test/", {"verify_tls": False}, {"tls": {"verify": False}}),
        ("https://${host}/", {"verify_tls": False}, {"tls": {"verify": False}}),
        ("https://shop.test/", {"verify_tls": True}, {}),
        ("http://shop.test/", {"verify_tls": False}, {}),
    ],
)
def test_verify_tls_becomes_tls_where_there_is_any(
    url: str, given: dict[str, Any], words: dict[str, Any]
) -> None:
    document, left_out = translated(method=[action("a", {"type": "http", "url": url, **given})])
    (step,) = (found["do"]["http"] for found in phases(document)["method"]["actions"])
    assert step == {"url": url, **words}
    assert left_out == ()


def test_max_retries_of_an_action_becomes_retry() -> None:
    document, left_out = translated(
        method=[action("a", {"type": "http", "url": "http://shop.test/", "max_retries": 3})]
    )
    (found,) = phases(document)["method"]["actions"]
    assert (found["retry"], left_out) == ({"times": 3}, ())


def test_a_probe_whose_tolerance_cannot_be_translated_does_not_pass_for_a_check() -> None:
    probes = [{**HEALTHY, "tolerance": {"type": "probe", "name": "p"}}, {**HEALTHY, "name": "second"}]
    source = translate(json.dumps({**EXPERIMENT, "method": probes})).source
    assert "second" in source
    assert source.count("exists: true") == 0


@pytest.mark.parametrize(("changes", "words"), LEFT_OUT)
def test_parts_that_cannot_be_carried_over_are_listed_with_their_place(
    changes: dict[str, Any], words: str
) -> None:
    source = json.dumps({**EXPERIMENT, **changes}, indent=1)
    found = [problem for problem in translate(source).left_out if words in problem.message]
    assert len(found) == 1
    assert 1 < found[0].line <= source.count("\n")


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_experiment_is_recognised_in_json_and_yaml(write: Any) -> None:
    assert is_experiment(write(EXPERIMENT))
    assert not is_experiment(write({"apiVersion": "coordinator/v1", "method": []}))
    assert not is_experiment("{")
    assert translate(write(EXPERIMENT)).source == translate(json.dumps(EXPERIMENT, indent=3)).source


STRANGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(st.characters(categories=["L", "N", "P"]), max_size=4)
    | st.sampled_from(["${a}", "$a", "|"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "name", "pauses", "after", "a", "ref"]), inner, max_size=3)
    ),
    max_leaves=5,
)
PROVIDERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["http", "process", "python"])},
    optional=dict.fromkeys(
        (
            *("url", "headers", "arguments", "path", "module", "func", "secrets", "timeout", "method"),
            *("verify_tls", "max_retries"),
        ),
        STRANGE,
    ),
)
ACTIVITIES = st.fixed_dictionaries(
    {"type": st.sampled_from(["action", "probe"]), "provider": PROVIDERS | STRANGE},
    optional=dict.fromkeys(("name", "tolerance", "pauses", "background", "ref"), STRANGE),
)
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "method": st.lists(ACTIVITIES | STRANGE, max_size=3) | STRANGE,
    "rollbacks": st.lists(ACTIVITIES | STRANGE, max_size=2),
    "steady-state-hypothesis": st.fixed_dictionaries({"probes": st.lists(ACTIVITIES, max_size=2)}) | STRANGE,
    **dict.fromkeys(("title", "tags", "configuration", "secrets", "contributions", "controls"), STRANGE),
}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.fixed_dictionaries({}, optional=PARTS))
def test_translation_handles_any_experiment(experiment: dict[str, Any]) -> None:
    translation = translate(json.dumps(experiment))
    try:
        parse_document(translation.source, DRIVERS)
    except InvalidDocument as refusal:
        assert all("not YAML" not in problem.message for problem in refusal.problems)  # noqa: PT017 - either is fine


@pytest.mark.parametrize("source", ["- null\n", "text", "5"])
def test_value_that_is_not_a_mapping_is_refused_at_its_place(source: str) -> None:
    with pytest.raises(InvalidDocument, match="line 1, column 1: an experiment must be a mapping"):
        translate(source)
