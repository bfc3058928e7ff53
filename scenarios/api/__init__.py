"""The API under `/api/v1/`: one file per resource. Errors are RFC 9457 problem documents."""

from scenarios.api import (
    all_events,
    allow_lists,
    approvals,
    deletions,
    discovered_services,
    environments,
    events,
    faults,
    global_stop,
    health,
    hosts,
    imports,
    looks,
    plans,
    run_comparisons,
    runs,
    scenarios,
    schedules,
    services,
    suite_runs,
    suites,
    tokens,
    versions,
    webhooks,
)
from scenarios.api.access import ACCESS
from scenarios.api.description import DescribedAPI
from scenarios.api.problems import JSONParser, add_problem_handlers
from scenarios.api.standard_json import StandardJSON

api = DescribedAPI(
    title="Test Coordinator",
    version="1",
    description="Stores and runs resilience scenarios, and reports what they found.",
    urls_namespace="api",
    auth=ACCESS,
    parser=JSONParser(),
    renderer=StandardJSON(),
)
add_problem_handlers(api)
RESOURCES = (
    *(health, tokens, scenarios, versions, deletions, suites, suite_runs, imports, plans),
    *(runs, run_comparisons, events, all_events, looks, faults),
    *(schedules, approvals, services, discovered_services, environments, hosts, webhooks, global_stop),
    allow_lists,
)
for resource in RESOURCES:
    api.add_router("", resource.router)
