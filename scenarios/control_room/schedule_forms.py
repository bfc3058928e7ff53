"""The form of a schedule: what it runs, and when."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse

from scenarios.control_room.variable_forms import build_environment_field
from scenarios.domain.errors import InvalidSchedule, InvalidVariables
from scenarios.domain.timetable import WEEK
from scenarios.language.variables import parse_pairs
from scenarios.models import Environment, Scenario, Schedule, Suite
from scenarios.planning import schedules

# The form field that shows an error of the schedule, and the fields that may have caused it.
PLACES = {
    "cron": ["cron", "time_zone", "window_days", "window_from", "window_to"],
    "window": ["window_from", "window_to"],
    "variables": ["variables_text", "scenario_name"],
    "suite_name": ["scenario_name"],
}


# Names contain no colon, so that no scenario has such a name.
SUITE_PREFIX = "suite:"
# Of scenarios and suites; with more, their names are typed, so that the page stays small.
MAX_CHOICES = 100


class SubjectInput(forms.TextInput):
    """A field with suggestions of the page of this URL name, while somebody types."""

    template_name = "scenarios/subject_field.html"
    suggestions = "admin:scenarios_schedule_subjects"

    def __init__(self) -> None:
        super().__init__(
            attrs={
                "list": "subjects",
                "autocomplete": "off",
                "spellcheck": "false",
                "hx-trigger": "focus once, input changed delay:200ms",
                "hx-target": "next datalist",
            }
        )

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(
            name, value, {"hx-get": f"{reverse(self.suggestions)}?of={name}", **(attrs or {})}
        )


class ScheduleForm(forms.ModelForm[Schedule]):
    scenario_name = forms.ChoiceField(label="Scenario or suite")
    variables_text = forms.CharField(
        label="Variables",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "hold=2s", "spellcheck": "false"}),
        help_text="One name=value per line. Other variables keep their defaults.",
    )
    window_days = forms.TypedMultipleChoiceField(
        label="Days",
        required=False,
        coerce=int,
        choices=list(enumerate(WEEK, 1)),
        widget=forms.CheckboxSelectMultiple,
        help_text="Select none for every day.",
    )

    class Meta:
        model = Schedule
        fields = [
            *("name", "scenario_name", "environment"),
            *("cron", "time_zone", "grace_minutes", "priority", "is_paused"),
            *("window_days", "window_from", "window_to"),
        ]
        widgets = {
            "cron": forms.TextInput(attrs={"placeholder": "30 2 * * MON-FRI", "spellcheck": "false"}),
            "time_zone": forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off"}),
            "window_from": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "window_to": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }
        labels = {
            "grace_minutes": "Grace (minutes)",
            "is_paused": "Paused",
            "window_from": "From",
            "window_to": "To",
        }
        help_texts = {
            "name": "Use a-z, 0-9 and '-', as in 'nightly-latency'.",
            "cron": "Minute, hour, day of month, month and day of week.",
            "time_zone": "For example Europe/Berlin or UTC.",
            "grace_minutes": "How late a run may start if no watchdog was running when it was due.",
            "window_to": "If this is not later than the start, the window ends on the next day.",
        }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if "scenario_name" not in self.fields:  # absent for people who may only view
            return
        if "environment" in self.fields:
            names = list(Environment.objects.values_list("name", flat=True))
            if (own := self.instance.environment) and own not in names:
                names.append(own)
            self.fields["environment"] = build_environment_field(names)
        if "priority" in self.fields:
            self.fields["priority"].required = False
        self.fields["scenario_name"] = self._build_subject_field()
        if self.instance.suite_name:
            self.initial["scenario_name"] = f"{SUITE_PREFIX}{self.instance.suite_name}"
        variables = self.instance.variables.items()
        self.fields["variables_text"].initial = "\n".join(f"{name}={value}" for name, value in variables)

    def _build_subject_field(self) -> forms.Field:
        label = "Scenario or suite"
        names, suites = self._list_names(Scenario, "scenario_name"), self._list_names(Suite, "suite_name")
        if len(names) + len(suites) > MAX_CHOICES:
            hint = f"Type a part of its name. The names of suites begin with '{SUITE_PREFIX}'."
            return forms.CharField(label=label, max_length=80, widget=SubjectInput(), help_text=hint)
        choices = [("Scenarios", [(name, name) for name in names])]
        choices.append(("Suites", [(f"{SUITE_PREFIX}{name}", name) for name in suites]))
        return forms.ChoiceField(label=label, choices=choices)

    def _list_names(self, model: type[Scenario | Suite], own_field: str) -> list[str]:
        """As many as there may be choices, and one more; with the name that the schedule has."""
        names = list(model.objects.order_by("name").values_list("name", flat=True)[: MAX_CHOICES + 1])
        own = getattr(self.instance, own_field)
        return names if not own or own in names else [*names, own]

    def clean_scenario_name(self) -> str:
        """One field for both: what it runs is either a scenario or a suite."""
        chosen: str = self.cleaned_data["scenario_name"]
        is_suite = chosen.startswith(SUITE_PREFIX)
        self.instance.suite_name = chosen.removeprefix(SUITE_PREFIX) if is_suite else ""
        return "" if is_suite else chosen

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc] # of Django's own
        return excluded | {"scenario_name"}  # empty for a suite; check_schedule looks at it

    def clean_priority(self) -> int:
        return self.cleaned_data["priority"] or 0

    def clean_variables_text(self) -> str:
        text: str = self.cleaned_data["variables_text"]
        try:
            self.instance.variables = parse_pairs([line for line in text.splitlines() if line.strip()])
        except InvalidVariables as error:
            raise ValidationError(list(error.errors.values())) from error
        return text

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        unread = set(
            self.errors
        )  # the instance still has the earlier values of these fields, so their errors would be wrong
        try:
            schedules.check_schedule(self.instance)
        except InvalidSchedule as error:
            for name, sentence in error.errors.items():
                place, *others = PLACES.get(name, [name])
                if not unread.intersection([place, *others]):
                    self.add_error(place, sentence)


def time_zones() -> list[str]:
    return sorted(available_timezones())
