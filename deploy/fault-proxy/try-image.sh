#!/bin/bash
# try-image.sh IMAGE: run the image of the fault proxy before a web server, and inject a fault into it.
# It uses the ports 18474, 18480 and 18481 of the loopback. DOCKER names the command, by default "docker".
set -euo pipefail
docker=${DOCKER:-docker}
image=$1
folder=$(mktemp -d)
container=""
trap '[ -z "$container" ] || $docker rm --force "$container" > /dev/null; kill %1 2> /dev/null || true; rm -r "$folder"' EXIT
head -c 24 /dev/urandom | base64 > "$folder/token"
cat > "$folder/proxy.json" <<'JSON'
{"control": "127.0.0.1:18474", "listeners": [{"listen": "127.0.0.1:18480", "upstream": "127.0.0.1:18481"}]}
JSON
chmod 755 "$folder"
chmod 644 "$folder"/*
python3 -m http.server --bind 127.0.0.1 --directory "$folder" 18481 > /dev/null 2>&1 &
container=$($docker run --detach --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
    --volume "$folder/proxy.json:/etc/fault-proxy/proxy.json:ro" --volume "$folder/token:/etc/fault-proxy/token:ro" "$image")
curl --silent --fail --retry 30 --retry-connrefused --retry-delay 1 http://127.0.0.1:18474/health > /dev/null
ask() { curl --silent --show-error --fail --header "Authorization: Bearer $(cat "$folder/token")" "$@"; echo; }
page() { curl --silent --output /dev/null --write-out '%{http_code} in %{time_total} s\n' http://127.0.0.1:18480/proxy.json; }
page
ask --request PUT http://127.0.0.1:18474/faults/try \
    --data '{"listener": "127.0.0.1:18480", "lease": 3, "fault": {"latency": 0.5, "http": {"path": "/*", "status": 503}}}'
page
sleep 4
page
ask http://127.0.0.1:18474/metrics | grep -E '^fault_proxy_(connections|faults_expired)_total'
$docker top "$container" -eo user,pid,args
$docker stop "$container" > /dev/null
$docker inspect --format 'exit code {{.State.ExitCode}}' "$container"
