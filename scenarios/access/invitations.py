"""Invitations: made with groups, passed on as a signed link, and accepted once."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.core import signing
from django.db import transaction
from django.utils import timezone

from scenarios.domain.errors import ScenarioError
from scenarios.models.invitations import Invitation

SALT = "scenarios.access.invitations"
ASK_AGAIN = "Ask for another one."


class InvitationRefused(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """The invitation cannot be made, or is not accepted; the sentence says why."""


def list_grantable_groups(by: User) -> list[Group]:
    """The groups that give nothing which this person may not do: nobody gives away more than they have."""
    groups = Group.objects.prefetch_related("permissions__content_type").order_by("name")
    if by.is_superuser:
        return list(groups)
    own = by.get_all_permissions()
    return [group for group in groups if _list_permissions(group) <= own]


def _list_permissions(group: Group) -> set[str]:
    return {f"{found.content_type.app_label}.{found.codename}" for found in group.permissions.all()}


def create_invitation(
    by: User, groups: Sequence[str], lasts: timedelta, *, email: str = ""
) -> tuple[Invitation, str]:
    """Returns the invitation and the word of its link, which is not stored.

    Raises:
        InvitationRefused: no group, or one that this person cannot give.
    """
    if not groups:
        raise InvitationRefused("An invitation needs a group: without one, nobody may see anything.")
    known = {group.name for group in list_grantable_groups(by)}
    if refused := [name for name in groups if name not in known]:
        raise InvitationRefused(f"You cannot invite into the group {refused[0]!r}.")
    invitation = Invitation.objects.create(
        email=email,
        groups=list(dict.fromkeys(groups)),
        invited_by=by.get_username(),
        expires_at=timezone.now() + lasts,
    )
    return invitation, signing.dumps(invitation.pk.hex, salt=SALT)


def find_invitation(word: str) -> Invitation:
    """The open invitation of the link with this word.

    Raises:
        InvitationRefused: the word is not one of ours, or the invitation is not open any more.
    """
    try:
        key = UUID(str(signing.loads(word, salt=SALT)))
    except (signing.BadSignature, ValueError) as error:
        raise InvitationRefused(
            "This link is not complete, or was changed. Copy the whole link from the invitation."
        ) from error
    invitation = Invitation.objects.filter(pk=key).first()
    if invitation is None:
        raise InvitationRefused(f"This invitation does not exist any more. {ASK_AGAIN}")
    _require_open(invitation)
    return invitation


def _require_open(invitation: Invitation) -> None:
    if invitation.accepted_at is not None:
        raise InvitationRefused("This invitation was used before. Log in with the name that you chose then.")
    if invitation.withdrawn_at is not None:
        raise InvitationRefused(f"This invitation was withdrawn. {ASK_AGAIN}")
    if invitation.expires_at <= timezone.now():
        raise InvitationRefused(f"This invitation has expired. {ASK_AGAIN}")
    # Otherwise somebody who must leave could come back.
    if not User.objects.filter(username=invitation.invited_by, is_active=True).exists():
        raise InvitationRefused(f"The account that sent this invitation is no longer active. {ASK_AGAIN}")
    _find_groups(invitation)


def _find_groups(invitation: Invitation) -> list[Group]:
    found = list(Group.objects.filter(name__in=invitation.groups))
    if missing := set(invitation.groups).difference(group.name for group in found):
        raise InvitationRefused(f"The group {min(missing)!r} of this invitation was deleted. {ASK_AGAIN}")
    return found


@transaction.atomic
def accept_invitation(invitation: Invitation, user: User) -> User:
    """Store the new user, who may enter, with the groups of the invitation.

    Raises:
        InvitationRefused: the invitation is not open any more; of two who accept it at once, one is refused.
        IntegrityError: another user has this name.
    """
    now = timezone.now()
    accepted = Invitation.objects.filter(
        pk=invitation.pk, accepted_at__isnull=True, withdrawn_at__isnull=True, expires_at__gt=now
    ).update(accepted_at=now, accepted_by=user.get_username())
    if not accepted:
        _require_open(Invitation.objects.get(pk=invitation.pk))
        raise InvitationRefused(f"This invitation is not open any more. {ASK_AGAIN}")
    groups = _find_groups(invitation)
    user.email, user.is_staff = invitation.email, True
    user.save(force_insert=True)
    user.groups.set(groups)
    return user


def withdraw_invitations(keys: Iterable[UUID]) -> int:
    """Withdraw those that are open; return how many."""
    unused = Invitation.objects.filter(pk__in=list(keys), accepted_at__isnull=True, withdrawn_at__isnull=True)
    return unused.update(withdrawn_at=timezone.now())


def prune(before: datetime, *, at_most: int) -> int:
    """Delete invitations that expired earlier; return how many."""
    expired = Invitation.objects.filter(expires_at__lt=before).order_by("expires_at")
    ids = list(expired.values_list("pk", flat=True)[:at_most])
    Invitation.objects.filter(pk__in=ids).delete()
    return len(ids)
