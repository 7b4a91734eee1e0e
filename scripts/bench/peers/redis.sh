#!/bin/sh
# One measurement on a Redis server of its own: redis.sh PROGRAM WORK FOLDER COUNT. The server listens on a socket in the folder and ends with this script.
set -eu
program=$1 work=$2 folder=$3 count=$4
redis-server --port 0 --unixsocket "$folder/socket" --dir "$folder" --appendonly yes --appendfsync everysec --save '' --daemonize no \
  --logfile "$folder/redis.log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
trap 'exit 1' INT TERM
tries=0
until [ -S "$folder/socket" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 100 ] || { echo "redis-server does not listen" >&2; exit 1; }
  sleep 0.05
done
"$program" "$work" "$folder/socket" "$count"
