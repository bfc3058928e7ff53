"""The page *New test*: what must keep working, what breaks and how badly. It makes a scenario."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.safestring import SafeString

from scenarios.control_room.service_forms import DependencyForm
from scenarios.control_room.variable_forms import VariablesForm
from scenarios.language.variables import Variable, resolve_values
from scenarios.library.shipped_tests import (
    DEPENDENCY,
    GROUPS,
    HOST,
    SERVICE,
    ShippedTest,
    list_shipped_tests,
)
from scenarios.models import Host, Scenario, Service
from scenarios.pictures.client_view import draw_client_view

MAX_CHOICES = 500
# The variables of what must hold and of how long it takes; all others say how strong the fault is.
EXPECTED = ("path", "max_status", "limit", "usual", "within", "hold", "noticed_within", "recovery", "steady")


@dataclass(frozen=True, slots=True)
class Card:
    """`obstacle` says why the fault cannot be injected here; "" if it can."""

    name: str
    title: str
    description: str
    picture: SafeString | None
    obstacle: str


@dataclass(frozen=True, slots=True)
class Site:
    """What is registered, by name: the choices of a new test."""

    services: list[str]
    proxied: list[str]
    hosts: list[str]
    may_register: bool
    may_protect: bool

    @classmethod
    def read(cls, user: Any) -> "Site":
        """With what this user may do about services."""
        services = list(Service.objects.order_by("name").values_list("name", "proxy")[:MAX_CHOICES])
        hosts = list(Host.objects.order_by("name").values_list("name", flat=True)[:MAX_CHOICES])
        rights = [user.has_perm(f"scenarios.{right}") for right in ("add_service", "protect_service")]
        return cls(
            [name for name, _proxy in services], [name for name, proxy in services if proxy], hosts, *rights
        )

    def lacks_dependency(self, test: ShippedTest) -> bool:
        """Whether what breaks must be registered first, which one form does together with the test."""
        return test.driver == "proxy" and not self.proxied

    def list_choices(self, variable: str, driver: str) -> list[str]:
        if variable == HOST:
            return self.hosts
        return self.proxied if variable == DEPENDENCY and driver == "proxy" else self.services


def list_cards(site: Site) -> Iterator[tuple[str, list[Card]]]:
    """The cards of each group, with its heading."""
    for driver, heading in GROUPS.items():
        tests = [test for test in list_shipped_tests().values() if test.driver == driver]
        if tests:
            yield heading, [_make_card(test, site) for test in tests]


def _make_card(test: ShippedTest, site: Site) -> Card:
    obstacle = ""
    if test.driver == "proxy" and not site.proxied and not site.may_register:
        obstacle = "No service has a fault proxy."
    elif HOST in test.targets and not site.hosts:
        obstacle = "No host is registered."
    document = test.document
    return Card(test.name, document.title, document.description, draw_client_view(test.name), obstacle)


class NewTestForm(VariablesForm):
    """The variables of a shipped test in three parts, and the name of the scenario that is made of it."""

    def __init__(self, test: ShippedTest, service: str, site: Site, data: Any = None) -> None:
        super().__init__(test.document.variables, data)
        self.test = test
        self.dependency: DependencyForm | None = None
        if site.may_register and site.lacks_dependency(test):
            self.dependency = DependencyForm(data, may_protect=site.may_protect)
        for variable in test.targets:
            names = site.list_choices(variable, test.driver)
            self.fields[variable] = forms.ChoiceField(choices=[(name, name) for name in names])
        self.fields[SERVICE].initial = service
        if DEPENDENCY in self.fields and len(site.services) > 1:
            others = [name for name in site.list_choices(DEPENDENCY, test.driver) if name != service]
            self.fields[DEPENDENCY].initial = others[0] if others else ""
        self.fields["new_name"] = forms.CharField(
            label="Name",
            max_length=100,
            initial=_suggest_name(f"{service}-{test.name}"),
            help_text="The name of the new scenario.",
        )
        for name, declared in test.document.variables.items():
            self.fields[name].label = name.replace("_", " ").capitalize()
            self.fields[name].help_text = _describe_variable(declared)
        if self.dependency is not None:
            del self.fields[DEPENDENCY]

    def is_valid(self) -> bool:
        # Both, so that people see all errors at once.
        is_registrable = self.dependency is None or self.dependency.is_valid()
        return super().is_valid() and is_registrable

    def clean_new_name(self) -> str:
        name: str = self.cleaned_data["new_name"].strip()
        if Scenario.objects.filter(name=name).exists():
            raise ValidationError(f"A scenario {name!r} already exists. Choose another name.")
        return name

    def read_values(self) -> dict[str, Any]:
        values = super().read_values()
        values.pop("new_name", None)
        if self.dependency is not None:
            values[DEPENDENCY] = self.dependency.cleaned_data["name"]
        return values

    def read_typed_values(self) -> dict[str, Any]:
        """What was entered, as the document writes it: 399, not '399'.

        Raises:
            InvalidVariables: a value does not fit its variable.
        """
        entered = self.read_values()
        resolved = resolve_values(self.test.document.variables, entered)
        return {name: resolved[name] for name in entered}

    def list_defaults(self) -> dict[str, str]:
        """What tests and breaks what, if nobody changes a field."""
        known = [name for name in self.test.targets if name in self.fields]
        return {name: str(self[name].value() or self._find_first(name)) for name in known}

    def _find_first(self, name: str) -> str:
        return next((value for value, _label in self.fields[name].choices), "")  # type: ignore[attr-defined]

    # Parts of the page

    def breaks(self) -> list[forms.BoundField]:
        new = list(self.dependency) if self.dependency is not None else []
        return new + [self[name] for name in self.fields if name not in {*EXPECTED, SERVICE, "new_name"}]

    def holds(self) -> list[forms.BoundField]:
        return [self[name] for name in (SERVICE, *EXPECTED[:3]) if name in self.fields]

    def times(self) -> list[forms.BoundField]:
        return [self[name] for name in EXPECTED[3:] if name in self.fields]


def _describe_variable(variable: Variable) -> str:
    """What it is for, with its limits; its type is seen from its default."""
    limits = [f"at least {variable.min}"] if variable.min is not None else []
    limits += [f"at most {variable.max}"] if variable.max is not None else []
    return f"{variable.description}{', ' if limits else ''}{' and '.join(limits)}."


def _suggest_name(name: str) -> str:
    taken = set(Scenario.objects.filter(name__startswith=name).values_list("name", flat=True))
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def describe(test: ShippedTest, values: Mapping[str, Any]) -> str:
    """The title of the scenario that is made, from what was chosen."""
    what = values.get(DEPENDENCY) or values.get(HOST) or ""
    return f"{values[SERVICE]}: {test.document.title[0].lower()}{test.document.title[1:]}" + (
        f" ({what})" if what else ""
    )
