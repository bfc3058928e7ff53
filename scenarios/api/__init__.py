"""The API, `/api/v1/`: a file for each resource. Errors are RFC 9457 problem documents."""

from scenarios.api import (
    approvals,
    events,
    faults,
    global_stop,
    health,
    runs,
    scenarios,
    schedules,
    services,
)
from scenarios.api.access import ACCESS
from scenarios.api.description import DescribedAPI
from scenarios.api.problems import JSONParser, answer_with_problems

api = DescribedAPI(
    title="Test Coordinator",
    version="1",
    description="Stores, carries out and reports resilience scenarios.",
    urls_namespace="api",
    auth=ACCESS,
    parser=JSONParser(),
)
answer_with_problems(api)
for resource in (health, scenarios, runs, events, faults, schedules, approvals, services, global_stop):
    api.add_router("", resource.router)
