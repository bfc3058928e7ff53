"""Forms that register a service, or change one."""

from typing import Any

from django import forms

from scenarios.domain.errors import AddressProtected, AddressUnknown
from scenarios.library import services as registered_services
from scenarios.models import Service


class AddressForm(forms.ModelForm[Service]):
    """For people who may not protect services: refuses the address of a protected one."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if base_url := self.cleaned_data.get("base_url"):
            try:
                registered_services.check_address(
                    Service(name=self.cleaned_data.get("name", ""), base_url=base_url)
                )
            except (AddressProtected, AddressUnknown) as error:
                self.add_error("base_url", str(error))
        return cleaned


class DependencyForm(AddressForm):
    """A service behind a fault proxy, registered together with the first test that breaks it."""

    class Meta:
        model = Service
        fields = ("name", "base_url", "proxy")
        labels = {
            "name": "Name of what breaks",
            "base_url": "Where the service reaches it",
            "proxy": "Control API of its fault proxy",
        }
        help_texts = {
            "name": "A name of your choice, such as prices. It is registered as a service when you save.",
            "base_url": "The address at which the fault proxy listens, such as http://127.0.0.1:15080.",
        }

    def __init__(self, data: Any = None, *, may_protect: bool) -> None:
        super().__init__(data, prefix="dependency")
        self.fields["proxy"].required = True
        self._may_protect = may_protect

    def clean(self) -> dict[str, Any] | None:
        return forms.ModelForm.clean(self) if self._may_protect else super().clean()

    def register(self) -> None:
        """With the queries of its charts, as on the page of services."""
        names = ("name", "base_url", "proxy")
        registered_services.register_service(
            **{name: self.cleaned_data[name] for name in names}, only_new=True
        )
