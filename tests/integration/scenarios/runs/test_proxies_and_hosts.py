"""What drivers are told about fault proxies and hosts, and what a run keeps of them."""

from importlib import import_module

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext

from scenarios.domain.errors import StepImpossible
from scenarios.domain.plan import Step
from scenarios.domain.redaction import Redactor
from scenarios.drivers.platform import SitePlatform
from scenarios.engine.step_platform import Pinned, StepPlatform
from scenarios.models import Hold, Host, Run, Service
from scenarios.ports import Intent, Proxy, RegisteredHost
from scenarios.runs import admission, approval_gate, host_targets, leases
from scenarios.runs import commands as run_commands

pytestmark = pytest.mark.django_db(transaction=True)

CONTROL = "http://127.0.0.1:8474"
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: slow}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: shop, path: /fault, method: POST}}
"""


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", "correct horse")


def register(**fields: str) -> Service:
    service = Service(name="shop", base_url="http://127.0.0.1:9101", **fields)
    service.full_clean()
    service.save()
    return service


def test_drivers_get_the_proxy_with_its_token_and_the_hosts_by_few_queries() -> None:
    register(proxy=CONTROL, proxy_listener="127.0.0.1:5433")
    Host.objects.create(name="shop-2", address="chaos@10.0.0.7", labels={"role": "shop"})
    Host.objects.create(name="here")
    with CaptureQueriesContext(connection) as queries:
        platform = SitePlatform()
    assert len(queries) == 3  # and the allow lists
    pinned = Pinned(platform, {})
    assert pinned.proxy_of("shop") == Proxy(CONTROL, "127.0.0.1:5433", "correct horse")
    assert "correct horse" not in repr(pinned.proxy_of("shop"))
    assert list(pinned.hosts()) == [
        RegisteredHost("here", "", {}),
        RegisteredHost("shop-2", "chaos@10.0.0.7:22", {"role": "shop"}),
    ]


def test_host_with_a_wrong_address_spoils_no_other() -> None:
    Host.objects.create(name="shop-1", address="by other means")
    Host.objects.create(name="shop-2", address="chaos@10.0.0.7")
    assert [host.address for host in SitePlatform().hosts()] == ["by other means", "chaos@10.0.0.7:22"]
    assert host_targets.read_endpoints() == [("10.0.0.7", 22)]


def test_token_of_a_proxy_is_redacted_in_what_its_step_returns() -> None:
    register(proxy=CONTROL)
    redactor = Redactor()
    step = StepPlatform(SitePlatform(), None, Intent.ACT, frozenset(), redactor)
    assert step.proxy_of("shop").listener == ""
    assert "correct horse" not in redactor.redact("unknown token 'correct horse'")


@pytest.mark.parametrize(
    ("fields", "service", "part"),
    [
        ({}, "shop", "names no fault proxy; start one in front of it"),
        ({}, "bank", "unknown service 'bank'; registered services: shop"),
        (
            {"proxy": CONTROL, "proxy_secret": "FAULT_PROXY_OTHER"},
            "shop",
            "the secret 'FAULT_PROXY_OTHER' is missing",
        ),
    ],
)
def test_services_without_a_proxy_that_can_be_used_say_what_to_do(
    fields: dict[str, str], service: str, part: str
) -> None:
    register(**fields)
    with pytest.raises(StepImpossible, match=part):
        SitePlatform().proxy_of(service)


def test_unknown_service_is_answered_with_a_guess_or_the_first_few_names() -> None:
    for number in range(20):
        Service.objects.create(name=f"shop-{number:02}", base_url="http://127.0.0.1:9")
    with pytest.raises(StepImpossible, match="unknown service 'shop-004'; did you mean 'shop-04'"):
        SitePlatform().address_of("shop-004")
    with pytest.raises(StepImpossible, match=r"registered services: shop-00, .*, shop-07 and 12 more\. Reg"):
        SitePlatform().address_of("payments")


def test_run_keeps_the_proxies_and_hosts_that_it_began_with() -> None:
    service = register(proxy=CONTROL)
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    assert leases.claim_run(run.id, run.attempt, worker="a:1") is not None
    service.proxy = "http://127.0.0.1:9999"
    service.save()
    run = Run.objects.get()
    assert SitePlatform(run.addresses, run.pinned).proxy_of("shop").control == CONTROL
    assert SitePlatform().proxy_of("shop").control == "http://127.0.0.1:9999"


def test_run_that_an_earlier_version_claimed_has_nothing_pinned() -> None:
    register(proxy=CONTROL)
    assert SitePlatform({}, None).proxy_of("shop").control == CONTROL


def test_host_with_the_longest_name_can_be_held() -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    host = Host(name="a" * 63)
    host.full_clean()
    Hold.objects.create(service=f"host/{host.name}", run=run)
    assert Hold.objects.get().service == f"host/{'a' * 63}"


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"base_url": "redis://ann:pw@shop"}, "base_url", "credentials come from secrets"),
        ({"proxy": "tcp://127.0.0.1:8474"}, "proxy", "unknown scheme 'tcp'"),
        ({"proxy": CONTROL, "proxy_listener": "127.0.0.1"}, "proxy_listener", "has no port"),
        ({"proxy_listener": "127.0.0.1:5433"}, "proxy_listener", "needs the fault proxy"),
        ({"proxy": CONTROL, "proxy_secret": "DATABASE"}, "proxy_secret", "Begin the name with 'FAULT_PROXY'"),
        ({"name": "a" * 64}, "name", "at most 63 characters"),
    ],
)
def test_services_that_make_no_sense_are_refused(fields: dict[str, str], field: str, part: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Service(**{"name": "shop", "base_url": "http://shop", **fields}).full_clean()
    assert part in " ".join(refused.value.message_dict[field])


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"address": "shop-1"}, "address", "names no user"),
        ({"labels": ["role"]}, "labels", "a JSON object whose values are text"),
        ({"labels": {"role": 1}}, "labels", "whose values are text"),
        ({"labels": {"": "x"}}, "labels", "is not a label"),
        ({"labels": {"a=b": "x"}}, "labels", "without '='"),
        ({"labels": {"role": "x" * 201}}, "labels", "longer than 200"),
        ({"labels": {str(n): "" for n in range(51)}}, "labels", "at most 50"),
        ({"name": "Shop"}, "name", "Use a-z"),
    ],
)
def test_hosts_that_make_no_sense_are_refused(fields: dict[str, object], field: str, part: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Host(**{"name": "shop-1", **fields}).full_clean()
    assert part in " ".join(refused.value.message_dict[field])


def test_value_of_a_label_may_have_an_equals_sign() -> None:
    Host(name="shop-1", labels={"tier": "a=b"}).full_clean()


def test_groups_and_people_who_may_change_services_may_change_hosts_after_an_upgrade() -> None:
    migration = import_module("scenarios.migrations.0026_proxies_and_hosts")
    apps = MigrationExecutor(connection).loader.project_state(("scenarios", "0026_proxies_and_hosts")).apps
    keepers, ann = Group.objects.create(name="Keepers"), User.objects.create(username="ann")
    keepers.permissions.set(Permission.objects.filter(codename__in=["add_service", "protect_service"]))
    ann.user_permissions.set(Permission.objects.filter(codename="view_service"))
    with connection.schema_editor() as editor:
        migration.permit_hosts(apps, editor)
    assert set(keepers.permissions.values_list("codename", flat=True)) == {
        "add_service",
        "protect_service",
        "add_host",
        "protect_host",
    }
    assert ann.has_perm("scenarios.view_host")
    assert not ann.has_perm("scenarios.change_host")


def test_a_host_that_was_registered_after_the_claim_is_not_one_of_the_runs() -> None:
    Host.objects.create(name="shop-1", address="chaos@10.0.0.1", labels={"role": "shop"})
    pinned = {"hosts": {"shop-1": {"address": "chaos@10.0.0.1", "labels": {"role": "shop"}}}}
    Host.objects.create(name="shop-2", address="chaos@10.0.0.2", labels={"role": "shop"})
    assert [host.name for host in SitePlatform({}, pinned).hosts()] == ["shop-1"]
    assert [host.name for host in SitePlatform().hosts()] == ["shop-1", "shop-2"]


def test_services_behind_one_listener_are_protected_and_held_together() -> None:
    proxy = {"proxy": "http://127.0.0.1:8474", "proxy_listener": "127.0.0.1:5433"}
    Service.objects.create(name="shop-db", base_url="tcp://127.0.0.1:5433", is_protected=True, **proxy)
    Service.objects.create(name="other-name", base_url="tcp://10.0.0.7:5432", **proxy)
    Service.objects.create(
        name="next-door", base_url="tcp://10.0.0.8:5432", **{**proxy, "proxy_listener": "127.0.0.1:5434"}
    )
    fault = Step("proxy", {"service": "other-name", "refuse": True})
    assert admission.find_touched([fault], "host/here") == ["other-name", "shop-db"]
    assert approval_gate.find_protected(["other-name", "shop-db"]) == ["shop-db"]
