#!/usr/bin/env bash
# Runs a command with a Docker engine of its own:  on_container_host.sh SCRIPT COMMAND...
# `SCRIPT up FOLDER` starts the engine and prints what to eval, `SCRIPT down FOLDER` stops it. Nothing is left of it.
set -euo pipefail
script=$1
shift
folder=$(mktemp -d)
stop() {
  engine=$(cat "$folder/docker.pid" 2>/dev/null || true)
  "$script" down "$folder" || true
  while [[ -n $engine ]] && kill -0 "$engine" 2>/dev/null; do sleep 0.2; done
  # The engine leaves its network's name mounted.
  awk -v "folder=$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM
settings=$("$script" up "$folder")
eval "$settings"
# The engine's containers have no network of their own that leads outside; the host's certificates may be needed there.
export THUD_BUILD_NETWORK=host THUD_BUILD_CA=${THUD_BUILD_CA:-/etc/ssl/certs/ca-certificates.crt}
"$@"
