#!/bin/sh
# One CI job: import a folder of scenarios, run one, follow it, fetch its JUnit report, end as the run ended.
#
#   export COORDINATOR=https://coordinator.example  TEST_COORDINATOR_TOKEN=tc_…
#   run-scenario.sh FOLDER NAME [JUNIT-FILE]
#
# It needs nothing but curl. Each file of FOLDER is named after its scenario: checkout.yaml holds `checkout`.
# RUN_KEY, where the job has an id, keeps a job that is tried again from starting a second run.
# Ends with 0 where the run passed and left nothing injected, 1 where it did not, 2 where it could not be run.
set -u

if [ "$#" -lt 2 ] || [ -z "${COORDINATOR:-}" ] || [ -z "${TEST_COORDINATOR_TOKEN:-}" ]; then
    sed -n '2,9s/^#* \{0,1\}//p' "$0" >&2
    exit 2
fi
folder=$1 name=$2 junit=${3:-junit.xml}
api=${COORDINATOR%/}/api/v1

# The token goes in by standard input: arguments can be read by everybody on the machine. A redirect is an
# error: to log in, or to https://, is no answer of the coordinator's.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$TEST_COORDINATOR_TOKEN" |
        curl --config - --silent --show-error --fail-with-body --location --max-redirs 0 \
            --connect-timeout 10 --max-time 60 --retry 5 --retry-connrefused "$@"
}

give_up() {
    printf '\n%s\n' "$1" >&2
    exit 2
}

for file in "$folder"/*.yaml; do
    answer=$(ask --request PUT --header 'Content-Type: application/yaml' --data-binary "@$file" \
        "$api/scenarios/$(basename "$file" .yaml)") || give_up "$file was not imported: $answer"
done

# Whatever is asked again with one key is done once: a lost answer starts no second run.
key=${RUN_KEY:-$(date +%s)-$$}
answer=$(ask --request POST --header "Idempotency-Key: $key" --header 'Content-Type: application/json' \
    --data '{}' --dump-header - "$api/scenarios/$name/runs") || give_up "$name was not started: $answer"
location=$(printf '%s\n' "$answer" | tr -d '\r' | sed -n 's/^[Ll]ocation: *//p' | tail -n 1)
run=$api${location#*/api/v1}

# The coordinator sends what is new and holds the line for a while; the last event is `end`.
seen=0
while new=$(ask --header 'Accept: text/event-stream' --header "Last-Event-ID: $seen" "$run/events?wait=20"); do
    printf '%s\n' "$new" | sed -n 's/^data: //p'
    newest=$(printf '%s\n' "$new" | sed -n 's/^id: //p' | tail -n 1)
    seen=${newest:-$seen}
    # At the beginning of a line: a step may have been answered with these words, too.
    if [ -z "$new" ] || printf '%s\n' "$new" | grep -q '^event: end'; then break; fi
done

ended=$(ask "$run") || give_up "$run cannot be asked how it ended."
ended=$(printf '%s' "$ended" | tr -d ' \n')
case $ended in
*'"finished_at":null'*) give_up "$run has not ended: it goes on, and cannot be followed any more." ;;
esac
ask --output "$junit" "$run/report?format=junit" || give_up "There is no report of $run."
case $ended in
*'"rollback":"dirty"'*) verdict=1 ;;
*'"status":"passed"'*) verdict=0 ;;
*) verdict=1 ;;
esac
exit "$verdict"
