#!/bin/sh
# Start a Docker engine of its own, make the sandboxes' image from this machine's files, and run a command with
# DOCKER_HOST pointing there. Needs root, dockerd (Debian: docker.io) and the extra "docker"; no network and no registry.
# Everything it starts and writes is gone at its end; status 3 where there can be no engine. The sandbox tests, on every backend that works here:
#   docker/with_engine.sh .venv/bin/python -m pytest -m "slow or not slow" tests/sandboxes
set -eu
PYTHON=${PYTHON:-$(dirname "$0")/../.venv/bin/python}
if [ "$(id -u)" != 0 ] || ! command -v dockerd >/dev/null; then
  echo "a Docker engine can only be started as root, with dockerd (Debian: apt-get install docker.io)" >&2
  exit 3
fi
FOLDER=$(mktemp -d)
export DOCKER_HOST="unix://$FOLDER/docker.sock" DOCKER_BUILDKIT=0 AGENTRL_TEST_DOCKER=1
dockerd --data-root "$FOLDER/data" --exec-root "$FOLDER/exec" --pidfile "$FOLDER/pid" -H "$DOCKER_HOST" \
  --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none \
  --exec-opt native.cgroupdriver=cgroupfs --log-level=error >"$FOLDER/log" 2>&1 &
ENGINE=$!
finish() {
  kill "$ENGINE" 2>/dev/null && wait "$ENGINE" || true
  grep -o " $FOLDER/exec/netns/[^ ]* nsfs " /proc/self/mounts | cut -d " " -f 2 | xargs -r umount
  if grep -q " $FOLDER/" /proc/self/mounts; then echo "left $FOLDER: something is still mounted there" >&2; else rm -rf "$FOLDER"; fi
}
trap finish EXIT INT TERM
for _ in $(seq 100); do [ -S "$FOLDER/docker.sock" ] && break; sleep 0.1; done
[ -S "$FOLDER/docker.sock" ] || { echo "the engine did not start:" >&2; cat "$FOLDER/log" >&2; exit 3; }
"$PYTHON" "$(dirname "$0")/host_image.py"
"$@"
