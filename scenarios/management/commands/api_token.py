"""`manage.py api_token …`: creates, lists and revokes API tokens."""

from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from scenarios.access.tokens import SCOPES, TokenRefused, create_token, revoke_token
from scenarios.checks import BEFORE_COMMANDS
from scenarios.models.access import ApiToken

INVALID = 2
DEFAULT_DAYS = 90
SCOPE_HELP = f"What the token permits; can be repeated. One of {', '.join(SCOPES)}."


class Command(BaseCommand):
    help = "Create, list and revoke API tokens."
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = self._verb(
            verbs, self.create, "create", "Create a token. It is printed once and cannot be shown again."
        )
        create.add_argument(
            "owner", help="The user name of the owner. A token never permits more than its owner may do."
        )
        create.add_argument("--name", required=True, help="What the token is for.")
        create.add_argument(
            "--scope", action="append", required=True, dest="scopes", metavar="SCOPE", help=SCOPE_HELP
        )
        create.add_argument(
            "--days",
            type=int,
            default=DEFAULT_DAYS,
            help=f"Days until the token expires; 0 means never (default: {DEFAULT_DAYS}).",
        )
        listing = self._verb(verbs, self.list_tokens, "list", "List the tokens, without their secrets.")
        listing.add_argument("--owner", default="", help="Show only the tokens of this user.")
        revoke = self._verb(verbs, self.revoke, "revoke", "Revoke a token for good.")
        revoke.add_argument(
            "beginning", help="The beginning of the token as 'list' shows it, or the whole token."
        )

    def _verb(self, verbs: Any, function: Callable[..., None], name: str, help_text: str) -> ArgumentParser:
        parser: ArgumentParser = verbs.add_parser(name, help=help_text, description=help_text)
        parser.set_defaults(function=function)
        return parser

    def handle(self, *_arguments: Any, function: Callable[..., None], **options: Any) -> None:
        function(**options)

    def create(self, owner: str, name: str, scopes: list[str], days: int, **_options: Any) -> None:
        if days < 0:
            raise build_error(
                f"Invalid '--days' {days}; give a number of days, or 0 for a token that never expires."
            )
        user = User.objects.filter(username=owner).first()
        if user is None:
            raise build_error(
                f"There is no user {owner!r}; create one in the admin site or by 'manage.py createsuperuser'."
            )
        expires = timezone.now() + timedelta(days=days) if days else None
        try:
            _token, secret = create_token(user, name, scopes, expires_at=expires)
        except TokenRefused as error:
            raise build_error(str(error)) from error
        # Alone on standard output, so that a script can take it from there.
        self.stderr.write("Store this token safely; it is not shown again.")
        self.stdout.write(secret)

    def list_tokens(self, owner: str, **_options: Any) -> None:
        tokens = ApiToken.objects.select_related("owner")
        if owner:
            tokens = tokens.filter(owner__username=owner)
        if not tokens:
            self.stderr.write("There are no tokens.")
        for token in tokens:
            used = f"last used {format_time(token.last_used_at)}" if token.last_used_at else "never used"
            ends = f"until {format_time(token.expires_at)}" if token.expires_at else "never expires"
            words = (token.state, token.owner.get_username(), ",".join(token.scopes), ends, used, token.name)
            self.stdout.write("  ".join((f"{token.beginning}…", *words)))

    def revoke(self, beginning: str, **_options: Any) -> None:
        found = [
            token for token in ApiToken.objects.all() if beginning.rstrip("…").startswith(token.beginning)
        ]
        if len(found) != 1:
            what = "is no token" if not found else f"are {len(found)} tokens"
            raise build_error(
                f"There {what} beginning with {beginning[:11]!r}; 'manage.py api_token list' shows all."
            )
        done = revoke_token(found[0])
        self.stdout.write(f"{found[0]}: {'revoked' if done else 'had already been revoked'}.")


def format_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def build_error(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=INVALID)
