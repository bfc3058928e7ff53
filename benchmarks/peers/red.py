"""This product's middleware without the gauge of requests in progress: only rate, errors and duration.

What ends is still written to the gauge's place, so that the product's own code is measured: without that it
would cost a little less.
"""

from benchmarks.peers.site import GetResponse
from metrics_app.adapters.prometheus.recorder import MappedRequestRecorder
from metrics_app.backend import get_metrics
from metrics_app.measured_answers import measure_answers
from metrics_app.unmeasured_paths import find_unmeasured_paths


class RedRecorder(MappedRequestRecorder):
    def begin(self, method: str) -> None:
        pass


def red_middleware(get_response: GetResponse) -> GetResponse:
    whole = get_metrics().request_recorder()
    assert isinstance(whole, MappedRequestRecorder)
    recorder = RedRecorder(whole._files, whole._families)  # noqa: SLF001 - a variant for comparison
    return measure_answers(get_response, recorder, find_unmeasured_paths())
