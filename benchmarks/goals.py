"""Prints the results of benchmarks: each figure with its goal, and whether it was reached."""

import os
from datetime import UTC, datetime

from benchmarks.peers.report import describe_machine


class Goals:
    """Prints a line for each figure, with the load average: other programs make wall times longer."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        self.rows: list[tuple[str, str, str, str]] = []
        """What was measured, the figure, the goal and the verdict."""
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {describe_machine()}", flush=True)
        print(f"{'what':<72}{'measured':>12}{'goal':>12}{'load':>7}", flush=True)

    def at_most(self, what: str, measured: float, goal: float, unit: str = "") -> None:
        self._print(what, measured, f"≤ {goal:g} {unit}", is_reached=measured <= goal, unit=unit)

    def at_least(self, what: str, measured: float, goal: float, unit: str = "") -> None:
        self._print(what, measured, f"≥ {goal:g} {unit}", is_reached=measured >= goal, unit=unit)

    def tell(self, what: str, measured: float, unit: str = "") -> None:
        """Print a figure without a goal, for comparison with others."""
        self.rows.append((what, f"{_figure(measured).strip()} {unit}".strip(), "", ""))
        print(f"{what:<72}{_figure(measured)} {unit:<3}{'':>12}{os.getloadavg()[0]:>6.1f}", flush=True)

    @property
    def status(self) -> int:
        """The exit status: 1 where a goal was missed."""
        return 1 if self.missed else 0

    def _print(self, what: str, measured: float, goal: str, *, is_reached: bool, unit: str) -> None:
        if not is_reached:
            self.missed.append(what)
        verdict = "REACHED" if is_reached else "MISSED"
        figure = f"{_figure(measured).strip()} {unit}".strip()
        self.rows.append((what, figure, goal.strip(), "reached" if is_reached else "**missed**"))
        load = os.getloadavg()[0]
        print(f"{what:<72}{_figure(measured)} {unit:<3}{goal.strip():>12}{load:>6.1f}  {verdict}", flush=True)


def _figure(measured: float) -> str:
    text = (
        f"{measured:d}"
        if isinstance(measured, int)
        else f"{measured:.3g}"
        if measured < 100
        else f"{measured:.0f}"
    )
    return f"{text:>9}"
