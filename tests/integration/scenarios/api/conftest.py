import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from scenarios.access import tokens
from scenarios.api.problem_codes import MEANINGS, ProblemCode
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Scenario
from tests.integration.scenarios.story_rows import DOCUMENT

ALL = tuple(tokens.SCOPES)


@dataclass
class Program:
    """Asks with a token; what it sends is JSON unless it is text."""

    secret: str
    client: Client

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            b"" if body is None else content,
            content_type=headers.pop("Content-Type", "application/json"),
            headers={"Authorization": f"Bearer {self.secret}", **headers},
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.ask("POST", path, body, **headers)


def person(*permissions: str, name: str = "ada") -> User:
    user = User.objects.create_user(name)
    codenames = [permission.partition(".")[2] for permission in permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def program(owner: User, *scopes: str) -> Program:
    return Program(tokens.create_token(owner, "a test", scopes or ALL)[1], Client())


def read_problem(answer: Any, status: int) -> Any:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    content = json.loads(answer.content)
    assert content["status"] == status
    assert MEANINGS[ProblemCode(content["code"])][0] == status
    return content


@pytest.fixture
def admin_user(db: None) -> User:
    """Without a password, which would take long to be hashed."""
    return User.objects.create_superuser("admin")


@pytest.fixture
def ci(admin_user: User) -> Program:
    """A program that may do everything."""
    return program(admin_user)


@pytest.fixture
def stored() -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
