"""The GitHub action and the GitLab template fit the schemas that check-jsonschema ships of both."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CI = Path(__file__).resolve().parents[2] / "deploy" / "ci"
ACTION, TEMPLATE = CI / "github" / "action.yml", CI / "gitlab" / "run-scenario.yml"
WORKFLOW = """
on: push
jobs:
  resilience:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./deploy/ci/github
        with: {server: "https://coordinator.example", token: "x", folder: scenarios, scenario: slow-exchange}
"""


def check(schema: str, file: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The job of the template as a pipeline that extends it has it: hidden jobs may contain anything."""
    file = tmp_path / "pipeline.yml"
    file.write_text(TEMPLATE.read_text().replace(".run-scenario:", "run-scenario:", 1))
    return file


def test_action_fits_its_schema_and_a_misspelt_one_does_not(tmp_path: Path) -> None:
    done = check("github-actions", ACTION)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "action.yml"
    wrong.write_text(ACTION.read_text().replace("using: composite", "using: komposite"))
    assert check("github-actions", wrong).returncode == 1


def test_job_fits_its_schema_and_a_misspelt_one_does_not(job: Path) -> None:
    done = check("gitlab-ci", job)
    assert done.returncode == 0, done.stdout + done.stderr
    job.write_text(job.read_text().replace("when: always", "when: ever"))
    assert check("gitlab-ci", job).returncode == 1


def test_workflow_with_the_inputs_of_the_action_fits_its_schema(tmp_path: Path) -> None:
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(WORKFLOW)
    done = check("github-workflows", workflow)
    assert done.returncode == 0, done.stdout + done.stderr
    given = yaml.safe_load(WORKFLOW)["jobs"]["resilience"]["steps"][1]["with"]
    inputs = yaml.safe_load(ACTION.read_text())["inputs"]
    assert {name for name, described in inputs.items() if described.get("required")} == given.keys()


def test_inputs_of_the_action_are_no_part_of_its_program() -> None:
    (step,) = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    assert "${{" not in step["run"]
