"""What becomes of Prometheus's answer, whatever it is."""

import json
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from scenarios.charts import answers
from scenarios.charts.answers import MAX_SERIES, build_chart
from scenarios.charts.kept import Chart
from scenarios.charts.questions import Question
from scenarios.charts.window import Window
from scenarios.domain.errors import StepImpossible
from tests.servers.false_prometheus import FalsePrometheus, Form, false_prometheus, matrix, steadily

WINDOW = Window(1000.0, 1009.5, 1.0)


@pytest.fixture
def server(settings: Settings) -> Iterator[FalsePrometheus]:
    with false_prometheus() as running:
        settings.PROMETHEUS_URL = running.url
        yield running


def no_secret(name: str) -> str:
    raise StepImpossible(f"there is no secret {name!r}")


async def read(query: str = "up", *windows: Window) -> Chart:
    return await build_chart(Question("Up", "guard", query), windows or (WINDOW,), no_secret)


async def test_each_step_without_a_sample_is_a_gap_and_no_number_is_a_word(server: FalsePrometheus) -> None:
    samples = [(1000, "1"), (1001, "NaN"), (1003, "+Inf"), (1004, "-Inf"), (1009, "0.123456789")]
    server.reply = lambda _form: matrix(({}, [(float(at), text) for at, text in samples]))
    chart = await read()
    assert chart.problem == ""
    expected = [1.0, "NaN", None, "+Inf", "-Inf", None, None, None, None, 0.123457]
    assert chart.series[0].values == expected
    json.dumps(chart.model_dump(mode="json"), allow_nan=False)


async def test_the_finer_window_takes_the_place_of_the_coarse_one_within_it(server: FalsePrometheus) -> None:
    coarse, fine = Window(1000.0, 1040.0, 10.0), Window(1018.0, 1024.0, 2.0)
    server.reply = lambda form: steadily(form["step"])(form)
    chart = await read("up", coarse, fine)
    assert chart.moments == [1000, 1010, 1018, 1020, 1022, 1024, 1030, 1040]
    assert chart.series[0].values == [10, 10, 2, 2, 2, 2, 10, 10]


async def test_the_highest_series_are_kept_and_the_others_named(server: FalsePrometheus) -> None:
    many = [({"job": "a", "pod": f"pod-{number}"}, [(1000.0, str(number))]) for number in range(30)]
    server.reply = lambda _form: matrix(*many)
    chart = await read()
    assert [series.name for series in chart.series] == [f"pod=pod-{number}" for number in range(24, 30)]
    assert len(chart.series) == MAX_SERIES
    assert chart.left_out_count == 24
    assert chart.left_out[0] == "pod=pod-23"
    assert len(chart.left_out) == 10


def answering(status: int, body: str) -> tuple[int, bytes]:
    return status, body.encode()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answering(200, "<html>"), "without the result of a query"),
        (answering(200, "[" * 100_000), "without the result of a query"),
        (answering(200, '{"status": "success", "data": {"result": 5}}'), "with series of samples"),
        (answering(200, '{"status": "success", "data": [1]}'), "with series of samples"),
        (matrix(({}, [(1000.0, "much")])), "with series of samples"),
        (
            answering(200, '{"status":"success","data":{"result":[{"metric":[],"values":[]}]}}'),
            "with series of samples",
        ),
        (
            answering(200, '{"status":"success","data":{"result":[{"values":[[1e999,"1"]]}]}}'),
            "with series of samples",
        ),
        (answering(400, '{"status": "error", "error": "parse error"}'), "rejected the query: parse error"),
        (answering(503, '{"status": "error", "error": "busy"}'), "answered 503: busy"),
        (answering(502, "no upstream"), "answered 502"),
        (answering(200, "x" * 2_000_000), "reduce the result"),
    ],
)
async def test_an_answer_of_garbage_is_a_sentence(
    server: FalsePrometheus, reply: tuple[int, bytes], words: str
) -> None:
    server.reply = lambda _form: reply
    chart = await read()
    assert words in chart.problem
    assert chart.series == []


async def test_a_server_that_never_answers_is_a_sentence(
    server: FalsePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "SECONDS", 0.2)
    server.hangs = True
    assert "did not answer within 200ms" in (await read()).problem


async def test_a_server_that_is_not_there_or_not_configured_is_a_sentence(settings: Settings) -> None:
    settings.PROMETHEUS_URL = "http://user:hidden@127.0.0.1:1"
    chart = await read()
    assert "refused the connection" in chart.problem
    assert "hidden" not in chart.model_dump_json()
    settings.PROMETHEUS_URL = ""
    assert (await read()).problem == "no Prometheus is configured: set PROMETHEUS_URL"


async def test_a_secret_is_sent_and_its_reference_shown(server: FalsePrometheus) -> None:
    question = Question("Up", "guard", 'up{token="${secret:TOKEN}"}')
    chart = await build_chart(question, (WINDOW,), lambda _name: "much-hidden")
    assert server.asked[0]["query"] == 'up{token="much-hidden"}'
    assert chart.query == 'up{token="${secret:TOKEN}"}'


async def test_samples_outside_what_was_asked_are_left_out(server: FalsePrometheus) -> None:
    server.reply = lambda _form: matrix(({}, [(1.0, "1"), (1005.0, "2"), (9e9, "3")]))
    values = (await read()).series[0].values
    assert [value for value in values if value is not None] == [2.0]


async def test_the_question_is_a_form_with_the_window(server: FalsePrometheus) -> None:
    await read("rate(up[1m])")
    wanted: Form = {"query": "rate(up[1m])", "start": "1000.000", "end": "1009.500", "step": "1"}
    assert server.asked[0] == {**wanted, "timeout": f"{answers.SECONDS:g}s"}
