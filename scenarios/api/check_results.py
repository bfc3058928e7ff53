"""What a check of a service or host has found."""

from collections.abc import Sequence
from typing import Any

from ninja import Field, Schema

from scenarios.library.findings import Finding


class CheckResult(Schema):
    """One part of a check; `sentence` says how it is."""

    subject: str
    ok: bool
    sentence: str


class CheckResults(Schema):
    ok: bool = Field(description="Whether nothing is wrong.")
    checks: list[CheckResult]


def describe_findings(findings: Sequence[Finding]) -> dict[str, Any]:
    checks = [
        {"subject": finding.subject, "ok": finding.is_well, "sentence": finding.sentence}
        for finding in findings
    ]
    return {"ok": all(finding.is_well for finding in findings), "checks": checks}
