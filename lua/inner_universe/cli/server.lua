-- server.lua: `iu server COMMAND`: a SpacetimeDB server and its databases. Each command is a file of server/; this is their list.

return {
  summary = "a SpacetimeDB server, here or elsewhere, and the databases on it",
  usage = "COMMAND [ARGUMENTS]",
  details = [[
The server is that of --server, else of the configuration: INNER_UNIVERSE_ADDRESS, _PORT and _TLS, or the file of --config. A DATABASE is a name, its
identity, `.` for the configured one (INNER_UNIVERSE_DATABASE), or ws://host:port/name, which names the server too. Who asks is the identity of --token
or INNER_UNIVERSE_TOKEN, else that of the token file, which is kept per server and database: who publishes first stays the owner.

`iu help server COMMAND` says more.]],
  names = {
    "start",
    "stop",
    "status",
    "ping",
    "publish",
    "describe",
    "sql",
    "call",
    "logs",
    "names",
    "delete",
  },
}
