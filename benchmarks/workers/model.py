"""What the database bears, as so much for the installation, each worker that waits, and each run."""

from benchmarks.goals import Goals
from benchmarks.workers.installation import DatabaseWork

# The share by which a prediction may miss what was measured.
TOLERANCE = 0.5


class Model:
    """In each figure, a worker and its run cost the same, however many there are."""

    def __init__(self, workers: int, idle: DatabaseWork, held: DatabaseWork) -> None:
        self.workers, self._idle, self._held = workers, idle, held

    def predict(self, name: str, workers: int) -> float:
        """With a run each. The watchdog's own work does not grow with them, and is counted as a worker's."""
        each = (getattr(self._held, name) - getattr(self._idle, name)) / self.workers
        return float(getattr(self._idle, name) + each * workers)

    def compare(self, goals: Goals, measured: "Model") -> None:
        for name in ("statements", "processor"):
            predicted = self.predict(name, measured.workers)
            found = getattr(measured._held, name)  # noqa: SLF001 - of its own class
            what = (
                f"{name} with {measured.workers} runs, predicted from {self.workers}, over what was measured"
            )
            goals.at_most(what, abs(predicted / found - 1), TOLERANCE)

    def extrapolate(self, goals: Goals, workers: int) -> None:
        goals.tell(
            f"{workers} runs that go on: statements per second, predicted",
            self.predict("statements", workers),
        )
        goals.tell(
            f"{workers} runs that go on: cores of the server, predicted", self.predict("processor", workers)
        )
