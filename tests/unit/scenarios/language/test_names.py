"""Names in any script are names; what hides or turns text around is not."""

import pytest

from scenarios.domain.errors import InvalidDocument
from scenarios.drivers import documents

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: x, title: "{name}"}}
spec:
  phases:
    - name: "{name}"
      validations:
        - {{name: "{name}", probe: {{http: {{service: a, path: /}}}}, expect: {{status: 200}}}}
"""


@pytest.mark.parametrize(
    "name",
    ["👩\u200d🚒 is slow", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "क्\u200dष", "日本語", "naïve"],
)
def test_a_name_may_be_in_any_script(name: str) -> None:
    document = documents.read_document(DOCUMENT.format(name=name))
    assert document.title == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abc\u202edef", "a name is one printable line"),
        ("a\u2066b", "a name is one printable line"),
        ("a\u200bb", "a name is one printable line"),
        ("\u200d\u200c", "is empty"),
        ("a\u2028b", "a name is one printable line"),
    ],
)
def test_a_name_that_hides_something_is_refused(name: str, words: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        documents.read_document(DOCUMENT.format(name=name))
    assert any(words in problem.message for problem in refused.value.problems)
