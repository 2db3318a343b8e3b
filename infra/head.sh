#!/usr/bin/env bash
# The head of a cluster in a container: Ray, then the applications of serve.yaml beside this file. It ends when
# Ray does, so that whoever started it starts it again. Arguments go to `ray start`.
# The database is brought to this version before: `screenalyzer migrate`.
set -euo pipefail
config="$(cd "$(dirname "$0")" && pwd)/serve.yaml"
export RAY_DASHBOARD_ADDRESS="${RAY_DASHBOARD_ADDRESS:-http://127.0.0.1:8265}"
where="${RAY_DASHBOARD_ADDRESS##*/}"

ray start --head --block --dashboard-port "${where##*:}" "$@" &
head=$!
trap 'kill -TERM "$head" 2>/dev/null || true; wait "$head"' TERM INT

lives() { kill -0 "$head" 2>/dev/null || { wait "$head"; exit 1; }; }
until (exec 3<>"/dev/tcp/${where%:*}/${where##*:}") 2>/dev/null; do lives; sleep 1; done
until serve deploy "$config"; do lives; sleep 2; done
wait "$head"
