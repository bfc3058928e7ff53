"""What an invited person sees: a form for a name and a password. No login is needed."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from scenarios.access.invitations import InvitationRefused, accept_invitation, find_invitation

# In the session, so that the addresses of the form and of what it loads do not contain the word.
WORD = "invitation"
GONE = 410


class AccountForm(UserCreationForm[User]):
    class Meta:
        model = User
        fields = ["username", "first_name", "last_name"]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        self.fields["username"].help_text = "You log in with it."
        for name in ("first_name", "last_name"):
            self.fields[name] = forms.CharField(label=self.fields[name].label, max_length=150, required=False)


@never_cache
@require_safe
def open_link(request: HttpRequest, word: str) -> HttpResponse:
    """Keep the word of the link, and go on to the form."""
    try:
        find_invitation(word)
    except InvitationRefused as error:
        return _refuse(request, error)
    request.session[WORD] = word
    return HttpResponseRedirect(reverse("invitation"))


@never_cache
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def accept(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; make the account, and log its owner in."""
    try:
        invitation = find_invitation(request.session.get(WORD, ""))
        form = AccountForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            user = accept_invitation(invitation, form.save(commit=False))
            request.session.pop(WORD, None)
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            messages.success(request, f"Welcome, {user.get_short_name() or user.get_username()}.")
            return HttpResponseRedirect(reverse("admin:index"))
    except IntegrityError:  # somebody else has chosen the name at the same moment
        form.add_error("username", "A user with that username already exists.")
    except InvitationRefused as error:
        return _refuse(request, error)
    context = {"form": form, "invitation": invitation, "title": "Your account"}
    return render(request, "scenarios/invitation.html", context)


def _refuse(request: HttpRequest, error: InvitationRefused) -> HttpResponse:
    request.session.pop(WORD, None)
    context = {"reason": str(error), "title": "This invitation cannot be used"}
    return render(request, "scenarios/invitation.html", context, status=GONE)
