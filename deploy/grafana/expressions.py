"""PromQL, as the dashboards ask it."""

# In every selector: what the dashboard's variables choose.
CHOSEN = 'service=~"$service", instance=~"$instance"'
RATE, RANGE = "$__rate_interval", "$__range"


def selector(metric: str, matching: str = "") -> str:
    return f"{metric}{{{CHOSEN}, {matching}}}" if matching else f"{metric}{{{CHOSEN}}}"


def by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


def rate(counter: str, labels: str = "", *, matching: str = "", window: str = RATE) -> str:
    """The sum per second of a counter."""
    return f"sum{by(labels)}(rate({selector(counter, matching)}[{window}]))"


def times(counter: str, labels: str = "", *, matching: str = "", window: str = RATE) -> str:
    """How often a counter rose."""
    return f"sum{by(labels)}(increase({selector(counter, matching)}[{window}]))"


def quantile(share: float, histogram: str, labels: str = "", *, window: str = RATE) -> str:
    with_bound = f"{labels}, le" if labels else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', with_bound, window=window)})"


def mean(histogram: str, labels: str = "", *, window: str = RATE) -> str:
    seconds = rate(f"{histogram}_sum", labels, window=window)
    return f"{seconds} / {rate(f'{histogram}_count', labels, window=window)}"


def share(counter: str, matching: str, *, window: str = RATE) -> str:
    """What part of a counter's rise had these labels: 0 where there is no such series."""
    part = rate(counter, matching=matching, window=window)
    return f"({part} or vector(0)) / {rate(counter, window=window)}"


def shown_by_all(gauge: str, labels: str = "", *, matching: str = "") -> str:
    """A gauge from the database: every instance shows the same, so one of them is taken."""
    return f"max{by(labels)}({selector(gauge, matching)})"
