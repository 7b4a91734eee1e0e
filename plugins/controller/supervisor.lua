-- supervisor.lua: the shell program between us and the server. It holds the end of a pipe whose other end only this process has: when we close it or
-- die, however we die, the server is asked to end and, after a while, ended. It ends with the server, with the server's status.
--
--   sh -c SUPERVISOR name CALM PATIENCE PID_FILE PROGRAM ARGUMENTS...
--
-- CALM: seconds before the request (a 1.2.0 writes its last acknowledged rows some tens of milliseconds late); PATIENCE: seconds from the request
-- to the kill. PID_FILE gets the server's process id. SIGTERM is the request at once. Killed itself, it takes the server with it where setpriv is there.
--
-- A shell starts what runs in the background with SIGINT ignored; `env --default-signal` gives it back.

return [=[
calm=$1 patience=$2 pid_file=$3
shift 3
exec 3<&0 </dev/null
umask 077
tie=
if setpriv --pdeathsig KILL true 2>/dev/null; then tie="setpriv --pdeathsig KILL"; fi
if env --default-signal=INT true 2>/dev/null; then tie="$tie env --default-signal=INT"; fi
$tie "$@" 3<&- &
server=$!
printf '%s\n' "$server" >"$pid_file"
watch() {
  while read -r _ <&3; do :; done
  sleep "$calm"
  kill -0 $$ 2>/dev/null || exit
  kill -INT "$server" 2>/dev/null
  left=$((patience * 5))
  while [ "$left" -gt 0 ]; do
    sleep 0.2
    left=$((left - 1))
  done
  kill -0 $$ 2>/dev/null && kill -KILL "$server" 2>/dev/null
}
watch &
watcher=$!
trap 'kill -INT "$server" 2>/dev/null' TERM
while :; do
  wait "$server"
  status=$?
  [ "$status" -gt 128 ] && kill -0 "$server" 2>/dev/null || break
done
kill "$watcher" 2>/dev/null
exit "$status"
]=]
