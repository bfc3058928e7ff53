"""PromQL, as the dashboards ask it."""

from dataclasses import dataclass

RATE, RANGE = "$__rate_interval", "$__range"


def by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


@dataclass(frozen=True)
class Chosen:
    """Expressions over the series that the dashboard's variables choose: by this label, and by instance."""

    label: str

    def selector(self, metric: str, matching: str = "") -> str:
        chosen = f'{self.label}=~"${self.label}", instance=~"$instance"'
        return f"{metric}{{{chosen}, {matching}}}" if matching else f"{metric}{{{chosen}}}"

    def rate(self, counter: str, labels: str = "", *, matching: str = "", window: str = RATE) -> str:
        """The sum per second of a counter."""
        return f"sum{by(labels)}(rate({self.selector(counter, matching)}[{window}]))"

    def times(self, counter: str, labels: str = "", *, matching: str = "", window: str = RATE) -> str:
        """How often a counter rose."""
        return f"sum{by(labels)}(increase({self.selector(counter, matching)}[{window}]))"

    def quantile(self, share: float, histogram: str, labels: str = "", *, window: str = RATE) -> str:
        with_bound = f"{labels}, le" if labels else "le"
        return f"histogram_quantile({share}, {self.rate(f'{histogram}_bucket', with_bound, window=window)})"

    def mean(self, histogram: str, labels: str = "", *, window: str = RATE) -> str:
        total = self.rate(f"{histogram}_sum", labels, window=window)
        return f"{total} / {self.rate(f'{histogram}_count', labels, window=window)}"

    def share(self, counter: str, matching: str, labels: str = "", *, window: str = RATE) -> str:
        """What part of a counter's rise had these labels: 0 where there is no such series."""
        whole = self.rate(counter, labels, window=window)
        nothing = f"0 * {whole}" if labels else "vector(0)"
        return f"({self.rate(counter, labels, matching=matching, window=window)} or {nothing}) / {whole}"

    def shown_by_all(self, gauge: str, labels: str = "", *, matching: str = "") -> str:
        """A gauge from the database: every instance shows the same, so one of them is taken."""
        return f"max{by(labels)}({self.selector(gauge, matching)})"


COORDINATOR = Chosen("service")
