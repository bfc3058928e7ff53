// The task of docs/api-clients.md with the client that OpenAPI Generator makes for typescript-fetch.
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { Configuration, FaultsApi, RunsApi, ScenariosApi } from "./client";

async function main(): Promise<void> {
  const configuration = new Configuration({
    basePath: process.env.TEST_COORDINATOR_SERVER,
    accessToken: process.env.TEST_COORDINATOR_TOKEN,
  });
  const name = "slow-exchange";
  const requestBody = JSON.parse(readFileSync("slow-exchange.json", "utf8"));
  await new ScenariosApi(configuration).putScenario({ name, requestBody });
  const runs = new RunsApi(configuration);
  let run = await runs.startRun({ name, runRequest: { variables: { delay_ms: 200 } } });
  let seen = 0;
  while (run.finishedAt === null || seen < run.lastEvent) {
    run = await runs.getRun({ runId: run.id });
    for (const event of (await runs.listEvents({ runId: run.id, after: seen })).items) {
      console.log(event.at, event.kind, event.step);
      seen = event.sequence;
    }
    await setTimeout(200);
  }
  console.log(run.status, run.rollback);
  writeFileSync("report.xml", await runs.getReport({ runId: run.id, format: "junit" }));
  const faults = await new FaultsApi(configuration).listFaults({ outstanding: true });
  for (const fault of faults.items) console.log(fault.id, fault.service, fault.reason);
}

main();
