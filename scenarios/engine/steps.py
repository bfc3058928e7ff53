"""One step, carried out by its driver: where secrets are put in, and redacted from what comes out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.expectations import Expectations
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.plan import Action, Step, find_service, find_services
from scenarios.domain.redaction import Redactor
from scenarios.domain.templates import insert_secrets
from scenarios.engine.driver_calls import call_driver, read_arguments, reword
from scenarios.engine.fault_steps import FaultSteps, find_step_driver
from scenarios.engine.saved_values import SavedValues, fill_action, hide_saved_secrets, learn_texts
from scenarios.engine.step_platform import (
    Pinned,
    RecordingGate,
    StepPlatform,
    admit_network,
    admit_undo,
    choose_intent,
    secret_arguments,
)
from scenarios.ports import Clock, Connection, Driver, Gate, Intent, Platform

# Of a look whether something listens, by a driver's `reach`.
REACH_SECONDS = 5.0
# A fault that is injected already must be removed, and kept until then, whatever is protected meanwhile.
UNDOING_VERBS = ("undo", "renew")


@dataclass(frozen=True, slots=True)
class PreparedLoad:
    """`request` is what the process of a load needs to send it, `connections` are those that it may make."""

    request: Mapping[str, Any]
    connections: Sequence[Connection] = ()


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs steps with these drivers on this platform.

    Here, and nowhere else, secrets are put in: what comes out has passed the redactor, except for the
    fields that a probe returned, because they are compared first (see `observations.observe`).
    """

    drivers: Mapping[str, Driver]
    platform: Platform
    clock: Clock
    redactor: Redactor = field(default_factory=Redactor)
    gate: Gate | None = None
    undoes: bool = False
    saved: SavedValues = field(default_factory=SavedValues)
    # The names of the secrets that were asked for, by what they are.
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    cookies: dict[str, Any] = field(default_factory=dict, repr=False)

    def learn_secrets(self, names: Iterable[str]) -> None:
        """Learn these secrets before any step uses one, because a target may return it earlier.

        Raises:
            StepImpossible: secrets are missing, with a sentence for each; the others were learned.
        """
        misses = []
        for name in sorted(names):
            try:
                self._secret(name)
            except StepImpossible as error:
                misses.append(str(error))
        if misses:
            raise StepImpossible("; ".join(misses))

    def check(self, step: Step) -> None:
        """Check whether the step could be carried out on this site now, without doing it.

        Raises:
            StepImpossible: its driver, service or a secret is missing, or the site does not allow it.
        """
        try:
            driver = self._driver(step)
            if mentions_saved(step.arguments):
                return  # what it will be is not known yet
            arguments = self._arguments(driver, step)
            if (check := getattr(driver, "check", None)) is not None:
                check(arguments, self.platform)
            elif isinstance(service := step.arguments.get("service"), str):
                self.platform.address_of(service)
        except StepImpossible as error:
            raise StepImpossible(self.redactor.redact(str(error))) from None
        except Exception as error:  # a site's own driver
            sentence = f"the driver {step.driver!r} broke: {type(error).__name__}: {error}"
            raise StepImpossible(self.redactor.redact(sentence)) from error

    async def reach(self, step: Step) -> None:
        """Check that something listens at the step's target, if its driver can tell.

        Raises:
            StepFailed: nothing does.
        """
        if hasattr(self._find(step), "reach"):
            await self._call(step, "reach", REACH_SECONDS, is_action=False)

    def can_start_nothing(self, step: Step) -> bool:
        """Whether the step only speaks to its target, and so starts none that a later step needs."""
        return hasattr(self._find(step), "reach")

    async def choose_target(self, step: Step, time_limit: float) -> Mapping[str, Any]:
        """Where a fault driver will inject the fault; nothing is changed there.

        Raises:
            StepNotSent: there is no target, or it cannot be reached.
        """
        try:
            target = await self._call(step, "choose_target", time_limit, is_action=False)
            return {**target, "label": self.redactor.redact(str(target.get("label", "")))}
        except StepNotSent:
            raise
        except StepFailed as error:
            raise StepNotSent(str(error)) from error

    async def prepare_load(self, step: Step) -> PreparedLoad:
        """What the process of a load needs to send the step; its address passes the gate here.

        Raises:
            StepFailed: the step cannot be sent as a load, or the run may not touch its address.
        """
        driver = self._find(step)
        gate = RecordingGate(self.gate)
        recorded = replace(self, gate=gate)
        if hasattr(driver, "prepare_load"):
            request = await recorded._call(step, "prepare_load", REACH_SECONDS, is_action=True)  # noqa: SLF001
            return PreparedLoad(request, gate.connections)
        if driver is None or not hasattr(driver, "reach"):
            raise StepImpossible(f"a load cannot send {step.driver!r}")
        try:
            await recorded._call(step, "reach", REACH_SECONDS, is_action=True)  # noqa: SLF001
        except StepImpossible:
            raise
        except StepFailed:
            if not gate.admitted:
                raise
            # Nothing listens there yet: that is for the load to find out.
        request = {
            "driver": f"{type(driver).__module__}.{type(driver).__qualname__}",
            "arguments": self._fill_arguments(step),
            "addresses": {name: self.platform.address_of(name) for name in find_services([step])},
            "defaults": {name: self._find_defaults(name) for name in ("", *find_services([step]))},
            "admitted": gate.admitted,
        }
        return PreparedLoad(request, gate.connections)

    async def admit_networks(self, connections: Iterable[Connection]) -> None:
        """Raises StepImpossible where the site does not allow the network of one of these any more."""
        for connection in connections:
            try:
                await admit_network(self.gate, connection)
            except StepImpossible as error:
                raise StepImpossible(self.redactor.redact(str(error))) from None

    async def renew(self, step: Step, time_limit: float) -> None:
        """Keep a leased fault for another lease.

        Raises:
            FaultGone: its target does not have it any more.
            StepFailed: it is not known whether it is kept.
        """
        await self._call(step, "renew", time_limit, is_action=True)

    def is_leased(self, step: Step) -> bool:
        """Whether the fault that the step injects ends by itself when it is not renewed."""
        if step.operation is None:
            return False
        return bool(self.drivers[step.driver].is_leased(step.arguments))  # type: ignore[attr-defined]

    async def probe(self, step: Step, time_limit: float) -> Mapping[str, Any]:
        """The fields the probe returned, with secrets if the target answered any.

        Raises:
            StepFailed: the target did not answer, or not in time.
            StepImpossible: the step makes no sense, or its driver is broken.
        """
        return await self._call(step, "probe", time_limit, is_action=False)

    async def act(
        self, step: Step, time_limit: float, *, expect: Expectations | None = None
    ) -> Mapping[str, Any]:
        """Carry the step out; return what the target answered. `expect` may decide whether it was done.

        Raises:
            StepFailed: nothing is known: it may have been done, or may be done later.
            StepNotDone: the target answered that it did not do it.
            StepNotSent: nothing can have reached the target.
        """
        judges = expect is not None and "ok" not in step.arguments and expect.names(self._decided_by(step))
        return await self._call(step, "probe" if judges else "act", time_limit, is_action=True)

    def is_of_target(self, step: Step, fields: Mapping[str, Any]) -> bool:
        """Whether the target itself gave this answer, so that it knows what became of the step."""
        judges = getattr(self._find(step), "is_of_target", None)
        return judges is None or bool(judges(fields))

    async def undo(self, step: Step, time_limit: float) -> bool:
        """Carry out an undo, with the errors of `act`; return whether there was nothing to undo."""
        fields = await self._call(step, "undo", time_limit, is_action=True)
        return hasattr(self._find(step), "undo") and bool(fields.get("gone"))

    def for_undo(self) -> "StepRunner":
        """A runner like this one, for probes that check an undo: they are admitted where the undo is."""
        return replace(self, undoes=True)

    def at(self, addresses: Mapping[str, str]) -> "StepRunner":
        """A runner like this one, with these services at these addresses."""
        return replace(self, platform=Pinned(self.platform, addresses))

    def address_of(self, step: Step) -> str:
        """The address of the service that the step names; "" if it names none that is known."""
        try:
            return self.platform.address_of(service) if (service := find_service(step)) else ""
        except StepImpossible:
            return ""

    def arrives_late(self, step: Step) -> bool:
        """Whether what the step asks for may be done after it was cut off."""
        return bool(getattr(self._find(step), "arrives_late", True))

    async def admit_undo(self, step: Step) -> frozenset[str]:
        """Asked before a fault is injected: once it is, its undo is not to be refused.

        Returns what the run holds because of it.

        Raises:
            StepImpossible: the run may not touch what the undo names.
        """
        if self.gate is None:
            return frozenset()
        driver = self._driver(step)
        if hasattr(driver, "permit") and not mentions_saved(step.arguments):
            await driver.permit(
                self._arguments(driver, step), self._build_platform(step, Intent.ACT, undoes=False)
            )
        return await admit_undo(self.gate, insert_secrets(step.arguments, self._secret), self.platform)

    def note_saved(self, saved: Mapping[str, Any], *, is_sensitive: bool) -> None:
        """Let later steps use these values. Those of a sensitive step are secrets from now on."""
        if is_sensitive:
            learn_texts(self.redactor, saved)
        self.saved.note(saved)

    def fill_undo(self, action: Action, saved: Mapping[str, Any]) -> tuple[Action, Action]:
        """The action, whose undo has these saved values; and the same as it may be stored.

        What may be stored has references in the place of secrets that came with saved values. Where not all
        of them can be hidden, it refers to the saved value as before.
        """
        filled = fill_action(action, saved)
        return filled, hide_saved_secrets(filled, action, self.secrets, self.redactor)

    def _decided_by(self, step: Step) -> str:
        return getattr(self._find(step), "decided_by", "")

    async def _call(self, step: Step, verb: str, time_limit: float, *, is_action: bool) -> Mapping[str, Any]:
        try:
            return await self._call_driver(step, verb, time_limit, is_action=is_action)
        except StepFailed as error:
            kept = self.redactor.redact(str(error))
            if kept == str(error):
                raise
            # Without its cause: a traceback would show what was redacted from the sentence.
            raise reword(error, kept) from None

    async def _call_driver(
        self, step: Step, verb: str, time_limit: float, *, is_action: bool
    ) -> Mapping[str, Any]:
        driver = self._driver(step)
        arguments = self._arguments(driver, step)
        call = getattr(driver, verb, None) or driver.act  # most have no undo of their own
        undoes = self.undoes or verb in UNDOING_VERBS
        platform = self._build_platform(
            step, choose_intent(driver, step, is_action=is_action, undoes=undoes), undoes=undoes
        )
        return await call_driver(
            step, lambda: call(arguments, platform), self.clock, time_limit, is_action=is_action
        )

    def _build_platform(self, step: Step, intent: Intent, *, undoes: bool) -> StepPlatform:
        return StepPlatform(
            self.platform,
            self.gate,
            intent,
            secret_arguments(step),
            self.redactor,
            self.cookies,
            undoes,
        )

    def _find_defaults(self, service: str) -> Mapping[str, Any]:
        found = getattr(self.platform, "web_defaults", None)
        return insert_secrets(dict(found(service)), self._secret) if found is not None else {}

    def _find(self, step: Step) -> Driver | FaultSteps | None:
        return find_step_driver(self.drivers, step)

    def _driver(self, step: Step) -> Driver | FaultSteps:
        driver = self._find(step)
        if driver is None:
            kind = "driver" if step.operation is None else "fault driver"
            known = ", ".join(sorted(self.drivers))
            raise StepImpossible(f"there is no {kind} {step.driver!r}; the installed drivers are {known}")
        return driver

    def _arguments(self, driver: Driver | FaultSteps, step: Step) -> Any:
        return read_arguments(driver, step, self._fill_arguments(step))

    def _fill_arguments(self, step: Step) -> Any:
        return insert_secrets(self.saved.fill_arguments(step.arguments), self._secret)

    def _secret(self, name: str) -> str:
        secret = self.platform.secret(name)
        self.redactor.learn(secret)
        if secret:
            self.secrets[secret] = name
        return secret
