// The task of docs/api-clients.md with the client that OpenAPI Generator makes for Go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	client "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func check[T any](value T, _ *http.Response, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: os.Getenv("TEST_COORDINATOR_SERVER")}}
	api := client.NewAPIClient(configuration)
	token := os.Getenv("TEST_COORDINATOR_TOKEN")
	ctx := context.WithValue(context.Background(), client.ContextAccessToken, token)

	text, err := os.ReadFile("slow-exchange.json")
	if err != nil {
		panic(err)
	}
	document := map[string]any{}
	if err := json.Unmarshal(text, &document); err != nil {
		panic(err)
	}
	check(api.ScenariosAPI.PutScenario(ctx, "slow-exchange").RequestBody(document).Execute())
	request := client.RunRequest{Variables: map[string]any{"delay_ms": 200}}
	run := check(api.RunsAPI.StartRun(ctx, "slow-exchange").RunRequest(request).Execute())

	var seen int32
	for run.FinishedAt.Get() == nil || seen < run.LastEvent {
		run = check(api.RunsAPI.GetRun(ctx, run.Id).Execute())
		for _, event := range check(api.RunsAPI.ListEvents(ctx, run.Id).After(seen).Execute()).Items {
			fmt.Println(event.At, event.Kind, event.Step)
			seen = event.Sequence
		}
		time.Sleep(200 * time.Millisecond)
	}
	fmt.Println(run.Status, *run.Rollback.Get())
	report := check(api.RunsAPI.GetReport(ctx, run.Id).Format("junit").Execute())
	if err := os.WriteFile("report.xml", []byte(report), 0o600); err != nil {
		panic(err)
	}
	for _, fault := range check(api.FaultsAPI.ListFaults(ctx).Outstanding(true).Execute()).Items {
		fmt.Println(fault.Id, fault.Service, fault.Reason)
	}
}
