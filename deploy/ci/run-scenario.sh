#!/bin/sh
# One CI job: import a folder of scenarios, run one, show its progress, save its JUnit report, end as the run ended.
#
#   export TEST_COORDINATOR_SERVER=https://coordinator.example  TEST_COORDINATOR_TOKEN=tc_…
#   run-scenario.sh [--var NAME[=VALUE]]… [--vars-file FILE] [--environment NAME] [--raw] FOLDER NAME [JUNIT-FILE]
#
# It needs nothing but curl. Each file of FOLDER is named after its scenario: checkout.yaml holds `checkout`.
# --var sets a variable of the scenario, without a value to that of the environment variable; --vars-file is a
# JSON file with names and values. A later one takes precedence. --environment names the environment of the
# coordinator whose services are used. --raw prints each event as JSON.
# The files of FOLDER are stored one after the other: those before an invalid one stay stored.
# With RUN_KEY, one run is started however often the script is called with this key within 24 hours.
# A job that is cancelled (SIGTERM or Ctrl-C) stops the run and undoes its faults.
# Ends with 0 where the run passed and left nothing injected, 1 where it did not, 2 where it could not be run.
set -u

usage() {
    sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

give_up() {
    printf '\n%s\n' "$1" >&2
    exit 2
}

# The sentences of a problem that the coordinator has answered with; all of it, where it is something else.
explain() {
    sentences=$(printf '%s\n' "$1" | grep -oE '"(detail|message|hint)": "([^"\\]|\\.)+"|"line": [0-9]+' |
        sed 's/^"line": /line /; s/^"[a-z]*": "//; s/"$//; s/\\"/"/g; s/\\n/ /g')
    printf '%s' "${sentences:-$1}"
}

# The characters of a JSON string, without its quotes.
json_text() {
    tab=$(printf '\t') return=$(printf '\r')
    printf '%s\n' "$1" | sed "s/\\\\/\\\\\\\\/g; s/\"/\\\\\"/g; s/$tab/\\\\t/g; s/$return/\\\\r/g" |
        awk 'NR > 1 { printf "%s", "\\n" } { printf "%s", $0 }'
}

add_variables() {
    if [ -n "$(printf '%s' "$1" | tr -d '[:space:]')" ]; then variables=${variables:+$variables,}$1; fi
}

add_variable() {
    case $1 in
    *=*) name=${1%%=*} value=${1#*=} ;;
    *)
        name=$1
        case $name in '' | [0-9]* | *[!A-Za-z0-9_]*) give_up "'$name' is not the name of a variable." ;; esac
        eval "[ -n \"\${$name+set}\" ]" || give_up "'$name' has no value: write it as '$name=VALUE', or export '$name'."
        eval "value=\$$name"
        ;;
    esac
    add_variables "\"$(json_text "$name")\":\"$(json_text "$value")\""
}

add_file() {
    [ -r "$1" ] || give_up "The file '$1' cannot be read."
    content=$(tr '\r\n' '  ' <"$1")
    case $(printf '%s' "$content" | tr -d ' \t') in
    '{'*'}') add_variables "$(printf '%s' "$content" | sed 's/^[[:space:]]*{//; s/}[[:space:]]*$//')" ;;
    *) give_up "'$1' is not a JSON object of names and values." ;;
    esac
}

server=${TEST_COORDINATOR_SERVER:-${COORDINATOR:-}}
variables='' environment='' raw='' words=0 folder='' scenario='' junit=junit.xml
while [ "$#" -gt 0 ]; do
    case $1 in
    --var | --vars-file)
        [ "$#" -gt 1 ] || usage
        if [ "$1" = --var ]; then add_variable "$2"; else add_file "$2"; fi
        shift
        ;;
    --environment)
        [ "$#" -gt 1 ] || usage
        environment=$2
        shift
        ;;
    --environment=*) environment=${1#--environment=} ;;
    --var=*) add_variable "${1#--var=}" ;;
    --vars-file=*) add_file "${1#--vars-file=}" ;;
    --raw) raw=yes ;;
    -*) usage ;;
    *)
        words=$((words + 1))
        case $words in 1) folder=$1 ;; 2) scenario=$1 ;; 3) junit=$1 ;; *) usage ;; esac
        ;;
    esac
    shift
done
if [ "$words" -lt 2 ] || [ -z "$server" ] || [ -z "${TEST_COORDINATOR_TOKEN:-}" ]; then usage; fi
[ -d "$folder" ] || give_up "There is no folder '$folder'."
api=${server%/}/api/v1
work=$(mktemp -d) || give_up "There is no place for temporary files."
trap 'rm -rf "$work"' EXIT

# The token goes in by standard input: arguments can be read by everybody on the machine. A redirect is an
# error: to log in, or to https://, is no answer of the coordinator's.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$TEST_COORDINATOR_TOKEN" |
        curl --config - --silent --show-error --fail-with-body --location --max-redirs 0 \
            --connect-timeout 10 --max-time 60 --retry 5 --retry-connrefused "$@"
}

for file in "$folder"/*.yaml; do
    [ -e "$file" ] || give_up "There is no .yaml file in '$folder'."
    answer=$(ask --request PUT --header 'Content-Type: application/yaml' --data-binary "@$file" \
        "$api/scenarios/$(basename "$file" .yaml)") || give_up "$file was not stored: $(explain "$answer")"
done

# Whatever is asked again with one key is done once: a lost answer starts no second run.
key=${RUN_KEY:-$(date +%s)-$$}
# Without an environment the word is left out, because earlier coordinators do not know it.
where=''
if [ -n "$environment" ]; then where=",\"environment\":\"$(json_text "$environment")\""; fi
answer=$(ask --request POST --header "Idempotency-Key: $key" --header 'Content-Type: application/json' \
    --data "{\"variables\":{$variables}$where}" --dump-header - "$api/scenarios/$scenario/runs") ||
    give_up "$scenario was not started: $(explain "$answer")"
location=$(printf '%s\n' "$answer" | tr -d '\r' | sed -n 's/^[Ll]ocation: *//p' | tail -n 1)
run=$api${location#*/api/v1}
page=$(printf '%s\n' "$answer" | sed -n 's/.*"url": *"\([^"\\]*\)".*/\1/p' | head -n 1)
page=${page:-$run}
printf 'Run of %s: %s\n' "$scenario" "$page"

# One event as a line: its time, its kind, its phase or step, and the reason. Text of targets must not control
# the terminal, so that control characters are left out.
readable='
function find(name) {
    if (!match($0, "\"" name "\": \"([^\"\\\\]|\\\\.)*\"")) return ""
    return unescape(substr($0, RSTART + length(name) + 5, RLENGTH - length(name) - 6))
}
function hex(digits,   place, number) {
    for (place = 1; place <= 4; place++)
        number = number * 16 + index("0123456789abcdef", tolower(substr(digits, place, 1))) - 1
    return number
}
function utf8(code) {
    if (code < 32) return " "
    if (code < 127) return sprintf("%c", code)
    if (code < 160 || code == 8232 || code == 8233) return ""
    if ((code >= 8234 && code <= 8238) || (code >= 8294 && code <= 8297)) return ""
    if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
    if (code < 65536) return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
    return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, 128 + int(code / 64) % 64, 128 + code % 64)
}
function unescape(text,   done, letter, code) {
    while (match(text, /\\./)) {
        done = done substr(text, 1, RSTART - 1)
        letter = substr(text, RSTART + 1, 1)
        text = substr(text, RSTART + 2)
        if (letter == "u") {
            code = hex(text)
            text = substr(text, 5)
            if (code >= 55296 && code < 56320 && substr(text, 1, 2) == "\\u") {
                code = 65536 + (code - 55296) * 1024 + hex(substr(text, 3)) - 56320
                text = substr(text, 7)
            }
            done = done utf8(code)
        } else done = done (index("nrtbf", letter) ? " " : letter)
    }
    return done text
}
{
    gsub(/\177/, "")
    kind = find("kind"); step = find("step"); reason = find("reason"); time = find("at")
    gsub(/_/, " ", kind)
    if (step == "") step = find("phase")
    print substr(time, 12, 8) "  " kind (step == "" ? "" : ": " step) (reason == "" ? "" : " (" reason ")")
}'

print_event() {
    printf '%s\n' "${line#data: }" | LC_ALL=C awk "$readable"
}

show_events() {
    while IFS= read -r line; do
        case $line in
        'id: '*) printf '%s\n' "${line#id: }" >"$work/seen" ;;
        # At the beginning of a line: a step may have been answered with these words, too.
        'event: end'*) : >"$work/ended" ;;
        'data: '*)
            if [ -e "$work/ended" ]; then continue; fi
            kind=${line#*'"kind": "'}
            if [ -n "$raw" ] || [ "$kind" = "$line" ]; then
                printf '%s\n' "${line#data: }"
                continue
            fi
            case ${kind%%\"*} in
            run_started | phase_started) print_event ;;
            *_started | action_finished | fault_injecting | load_* | phase_finished | *_holding) ;;
            *) print_event ;;
            esac
            ;;
        esac
    done
}

follow() {
    {
        ask --no-buffer --header 'Accept: text/event-stream' --header "Last-Event-ID: $(cat "$work/seen")" \
            "$run/events?wait=20"
        printf '%s\n' "$?" >"$work/code"
    } | show_events
}

# curl may be killed with this process, or not; the run is stopped in either case, and followed to its end.
cancel() {
    trap '' INT TERM
    printf '\nCancelled: stopping the run and undoing its faults.\n' >&2
    ask --request POST --output /dev/null "$run/stop" || give_up "$page could not be stopped, and goes on."
}

trap cancel INT TERM
printf '0\n' >"$work/seen"
failures=0
while [ "$failures" -lt 10 ]; do
    before=$(cat "$work/seen")
    : >"$work/code"
    follow &
    following=$!
    wait "$following"
    # A signal ends `wait` before its process.
    while kill -0 "$following" 2>/dev/null; do wait "$following"; done
    code=$(cat "$work/code")
    # 22: the coordinator has refused. Other ends, as those of a proxy in between, are tried again.
    if [ -e "$work/ended" ] || [ "$code" = 22 ]; then break; fi
    if [ "$(cat "$work/seen")" != "$before" ]; then
        failures=0
    elif [ "$code" != 0 ]; then
        failures=$((failures + 1))
    # A run that was deleted has no end.
    elif ! ask --output /dev/null "$run"; then
        break
    fi
    sleep 1
done

answer=$(ask "$run") || give_up "$run cannot be asked how it ended."
ended=$(printf '%s' "$answer" | tr -d ' \n')
case $ended in
*'"finished_at":null'*) give_up "$page has not ended: it goes on, and cannot be followed any more." ;;
esac
ask --output "$junit" "$run/report?format=junit" || give_up "There is no report of $page."
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then ask "$run/report?format=md" >>"$GITHUB_STEP_SUMMARY"; fi
# The first of each is the run's own; a variable may have the same name.
status=${ended#*'"status":"'} status=${status%%\"*}
rollback=${ended#*'"rollback":"'} rollback=${rollback%%\"*}
if [ -n "${GITHUB_OUTPUT:-}" ]; then printf 'status=%s\nurl=%s\n' "$status" "$page" >>"$GITHUB_OUTPUT"; fi
printf '%s, rollback %s: %s\n' "$status" "$rollback" "$page"
if [ "$status" = passed ] && [ "$rollback" != dirty ]; then exit 0; fi
exit 1
