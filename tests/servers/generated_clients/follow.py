"""The task of docs/api-clients.md with the client that OpenAPI Generator makes for Python."""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, "client")
import openapi_client
from openapi_client.models import RunRequest

configuration = openapi_client.Configuration(
    host=os.environ["TEST_COORDINATOR_SERVER"], access_token=os.environ["TEST_COORDINATOR_TOKEN"]
)
with openapi_client.ApiClient(configuration) as client:
    document = json.loads(Path("slow-exchange.json").read_text())
    openapi_client.ScenariosApi(client).put_scenario("slow-exchange", document)
    runs = openapi_client.RunsApi(client)
    run = runs.start_run("slow-exchange", run_request=RunRequest(variables={"delay_ms": 200}))
    seen = 0
    while run.finished_at is None or seen < run.last_event:
        run = runs.get_run(run.id)
        for event in runs.list_events(run.id, after=seen).items:
            print(event.at, event.kind, event.step)
            seen = event.sequence
        time.sleep(0.2)
    print(run.status, run.rollback)
    Path("report.xml").write_text(runs.get_report(run.id, format="junit"))
    for fault in openapi_client.FaultsApi(client).list_faults(outstanding=True).items:
        print(fault.id, fault.service, fault.reason)
