-- listens.lua: whether the process that we started, or one below it, is the one that listens on a port: another server may have been quicker, on the same
-- folder or the same port, and then ours is about to end.
--
-- What we start has a session of its own, so its processes are those of that session (proc(5), stat, field 6).

local LISTENS = [=[
inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$2" '$4 == "0A" && substr($2, length($2) - 4) == port { print "socket:[" $10 "]" }')
unread=
for stat in /proc/[0-9]*/stat; do
  read -r line <"$stat" || continue
  set -- "$1" ${line##*) }
  [ "$5" = "$1" ] && [ "$2" != Z ] || continue
  sockets=$(ls -l "${stat%/stat}/fd" && echo read) || unread=1
  for inode in $inodes; do
    case $sockets in *"$inode"*) echo yes; exit ;; esac
  done
done 2>/dev/null
[ "$unread" ] && echo unknown || echo no
]=]

---@param process table ctx.process
---@param session integer process id of what was started
---@param port integer
---@return boolean? nil: it cannot be told
return function(process, session, port)
  local said = process.run({ "sh", "-c", LISTENS, "sh", ("%d"):format(session), ("%04X"):format(port) }, { timeout = 10 })
  local word = said and said.output:match("^%a+")
  if word == "yes" then return true end
  if word == "no" then return false end
  return nil
end
