"""`tls`, `auth` and `cookies` of steps: what is refused and where, the plan, and the JSON Schema."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from scenarios.domain.errors import InvalidDocument
from scenarios.drivers.grpc import GrpcArguments
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.prometheus import PrometheusArguments
from scenarios.language.document import parse_document
from scenarios.language.schema import find_words, json_schema
from scenarios.pictures.plan_timeline import plan_timeline
from tests.unit.scenarios.language.documents import WithSpec, make_plan

DRIVERS: Mapping[str, type[BaseModel]] = {
    "grpc": GrpcArguments,
    "http": HttpArguments,
    "prometheus": PrometheusArguments,
}
JUDGE = Draft202012Validator(json_schema(DRIVERS))
PROBE = "phases: [{name: p, validations: [{name: v, probe: {%s}, expect: {status: 200}}]}]"
HTTP = PROBE % "http: {service: s, %s}"
GRPC = "phases: [{name: p, validations: [{name: v, probe: {grpc: {service: s, %s}}, expect: {code: OK}}]}]"
PROMETHEUS = (
    "phases: [{name: p, validations: [{name: v, probe: {prometheus: {query: up, %s}}, expect: {value: 1}}]}]"
)
LOAD = "load: [{name: l, rate: 5/s, request: {http: {service: s, %s}}}]\nphases: [{name: p, hold: 5s}]"
UNDO = "phases: [{name: p, actions: [{name: a, do: {http: {service: s}}, undo: {http: {service: s, %s}}}]}]"

PLAIN = "must be a reference to a secret, and nothing else"
SECRET = "write '${secret:NAME}'"
REFUSED = {
    "a plain token": (HTTP % "auth: {bearer: abc}", "abc", f"'bearer' {PLAIN}", SECRET),
    "a variable as token": (
        "variables: {t: {type: string}}\n" + HTTP % "auth: {bearer: '${t}'}",
        "'${t}'",
        f"'bearer' {PLAIN}",
        SECRET,
    ),
    "a secret among text": (
        HTTP % "auth: {bearer: 'x ${secret:T}'}",
        "'x ${secret:T}'",
        f"'bearer' {PLAIN}",
        SECRET,
    ),
    "an escaped secret": (HTTP % "auth: {bearer: '$${secret:T}'}", "'$$", f"'bearer' {PLAIN}", SECRET),
    "a plain password": (
        HTTP % "auth: {basic: {user: ann, password: pw}}",
        "pw}}",
        f"'password' {PLAIN}",
        SECRET,
    ),
    "a plain password of a load": (
        LOAD % "auth: {basic: {user: ann, password: pw}}",
        "pw}}",
        f"'password' {PLAIN}",
        SECRET,
    ),
    "a plain token of an undo": (UNDO % "auth: {bearer: abc}", "abc", f"'bearer' {PLAIN}", SECRET),
    "a plain token of gRPC": (GRPC % "auth: {bearer: abc}", "abc", f"'bearer' {PLAIN}", SECRET),
    "a plain token of Prometheus": (PROMETHEUS % "auth: {bearer: abc}", "abc", f"'bearer' {PLAIN}", SECRET),
    "a number as token": (HTTP % "auth: {bearer: 5}", "5}", "5 is not text", "quotes"),
    "an empty auth": (HTTP % "auth: {}", "auth", "'auth' takes either 'basic' or 'bearer'", ""),
    "both": (
        HTTP % "auth: {bearer: '${secret:T}', basic: {user: u, password: '${secret:T}'}}",
        "auth",
        "'auth' takes either 'basic' or 'bearer'",
        "",
    ),
    "no password": (HTTP % "auth: {basic: {user: u}}", "{user", "'password' is missing from 'basic'", ""),
    "a colon in the user": (
        HTTP % "auth: {basic: {user: 'a:b', password: '${secret:T}'}}",
        "user",
        "'a:b' contains ':'",
        "",
    ),
    "an unknown kind": (
        HTTP % "auth: {digest: {}}",
        "digest",
        "unknown key 'digest' in 'auth'; allowed: basic, bearer",
        "",
    ),
    "a header beside": (
        HTTP % "headers: {authorization: x}, auth: {bearer: '${secret:T}'}",
        "auth: {",
        "'auth' and the header 'Authorization' cannot be combined",
        "",
    ),
    "metadata beside": (
        GRPC % "metadata: {authorization: x}, auth: {bearer: '${secret:T}'}",
        "auth: {",
        "'auth' and the metadata 'authorization' cannot be combined",
        "",
    ),
    "a password in the URL": (
        PROBE % "http: {url: 'https://a:b@shop.test/', auth: {bearer: '${secret:T}'}}",
        "auth",
        "'auth' and a password in 'url' cannot be combined",
        "",
    ),
    "tls without TLS": (
        PROBE % "http: {url: 'http://shop.test/', tls: {verify: false}}",
        "tls",
        "'tls' has no effect here: 'url' begins with 'http://'",
        "",
    ),
    "an authority that is not asked": (
        HTTP % "tls: {verify: false, ca: a.pem}",
        "ca",
        "'ca' and 'verify: false' cannot be combined",
        "",
    ),
    "a path": (HTTP % "tls: {ca: /etc/ca.pem}", "/etc", "is not the name of a file in CERTIFICATE_DIR", ""),
    "a misspelt word": (HTTP % "tls: {verfy: false}", "verfy", "unknown key 'verfy' in 'tls'", "'verify'?"),
    "text for tls": (HTTP % "tls: 'yes'", "'yes'", "'yes' is not a mapping", ""),
    "text for tls of gRPC": (GRPC % "tls: 'yes'", "'yes'", "'yes' is not true or false", ""),
    "an unknown word for cookies": (HTTP % "cookies: all", "all", "must be 'keep'", ""),
    "a header Cookie beside": (
        HTTP % "headers: {Cookie: a=b}, cookies: keep",
        "cookies",
        "'cookies' and the header 'Cookie' cannot be combined",
        "",
    ),
    "cookies of a load": (LOAD % "cookies: keep", "cookies", "a load keeps no cookies", ""),
}


@pytest.mark.parametrize(("spec", "at", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_mistake_is_refused_at_its_place(
    spec: str, at: str, message: str, hint: str, with_spec: WithSpec
) -> None:
    source = with_spec(spec)
    with pytest.raises(InvalidDocument) as refusal:
        parse_document(source, DRIVERS)
    (found,) = refusal.value.problems
    assert (message in found.message, hint in found.hint) == (True, True), found
    assert source.splitlines()[found.line - 1][found.column - 1 :].startswith(at)


ACCEPTED = {
    "a token": HTTP % "auth: {bearer: '${secret:SHOP_TOKEN}'}",
    "a password": HTTP % "auth: {basic: {user: ann, password: '${secret:PW}'}}",
    "a client certificate": HTTP % "tls: {ca: ca.pem, certificate: client.pem}",
    "no verification": HTTP % "tls: {verify: false}",
    "cookies": HTTP % "cookies: keep",
    "a load": LOAD % "auth: {bearer: '${secret:T}'}, tls: {ca: ca.pem}",
    "grpc": GRPC % "tls: {verify: false}, auth: {bearer: '${secret:T}'}",
    "grpc with the system's authorities": GRPC % "tls: true",
    "prometheus": PROMETHEUS % "server: 'https://p.test', tls: {ca: ca.pem}, auth: {bearer: '${secret:T}'}",
}


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED)
def test_the_parser_and_the_json_schema_accept_it(spec: str, with_spec: WithSpec) -> None:
    document = yaml.safe_load(with_spec(spec))
    assert list(JUDGE.iter_errors(document)) == []
    step = next(_find_steps(make_plan(spec, {}, with_spec, DRIVERS)))
    assert set(step.arguments) & {"auth", "tls", "cookies"}


def _find_steps(plan: Any) -> Iterator[Any]:
    yield from plan.steps()


@pytest.mark.parametrize("spec", [HTTP % "auth: {bearer: abc}", GRPC % "auth: {bearer: '${variable}'}"])
def test_the_json_schema_refuses_what_is_no_secret(spec: str, with_spec: WithSpec) -> None:
    assert list(JUDGE.iter_errors(yaml.safe_load(with_spec(spec))))


def test_editors_complete_the_words() -> None:
    path = ("spec", "phases", 0, "validations", 0, "probe")
    schema = json_schema(DRIVERS)
    assert find_words(schema, (*path, "http", "auth"))[1] == ["basic", "bearer"]
    assert find_words(schema, (*path, "http", "auth", "basic"))[1] == ["user", "password"]
    for driver in DRIVERS:
        assert find_words(schema, (*path, driver, "tls"))[1] == ["verify", "ca", "certificate"]


def test_variables_fill_in_files_and_users(with_spec: WithSpec) -> None:
    spec = (
        "variables: {ca: {type: string, default: ca.pem}, user: {type: string, default: ann}}\n"
        + HTTP % "tls: {ca: '${ca}'}, auth: {basic: {user: '${user}', password: '${secret:PW}'}}"
    )
    (step,) = make_plan(spec, {"ca": "staging.pem"}, with_spec, DRIVERS).steps()
    assert step.arguments["tls"] == {"ca": "staging.pem"}
    assert step.arguments["auth"] == {"basic": {"user": "ann", "password": "${secret:PW}"}}


@pytest.mark.parametrize("spec", [HTTP % "tls: {verify: false}", LOAD % "tls: {verify: false}"])
def test_the_picture_of_the_plan_shows_that_any_certificate_is_accepted(
    spec: str, with_spec: WithSpec
) -> None:
    picture = plan_timeline(make_plan(spec, {}, with_spec, DRIVERS))
    assert "accepts any certificate" in picture
