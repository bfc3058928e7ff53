"""What works less well with the installed release of prometheus_client, in sentences."""

from importlib.metadata import version

from metrics_app.adapters.prometheus import mapped_cells, upstream


def find_limitations() -> list[str]:
    """A sentence for each; none with a release that is as the adapter knows it."""
    effects = {
        mapped_cells.contract_fault(): ("requests and scrapes are measured right, but several times slower"),
        upstream.contract_fault(): "what other libraries record with it is not exposed",
    }
    installed = version("prometheus_client")
    return [
        f"The installed prometheus_client {installed} differs from what the adapter expects ({fault}): "
        f"{effect}."
        for fault, effect in effects.items()
        if fault is not None
    ]
