---@meta inner_universe.core
-- luacheck: ignore 212 241
-- Annotations for editors; never loaded. The strict, positional C module below `inner_universe`: not for users. Its contract is
-- core/bind/README.md. A method that must wait returns `false, id`; the answer comes through the listener.

---@class inner_universe.core
---@field version string
---@field null lightuserdata
---@field array_mt table
---@field object_mt table
local core = {}

-- values -------------------------------------------------------------------------------------------------------------

---@param t? table
---@return table
function core.array(t) end

---@param t? table
---@return table
function core.object(t) end

---Compact JSON text; nil and an err that names the path of what cannot be written.
---@param value any
---@return string? text, inner_universe.Error? err
function core.json_encode(value) end

---@param text string
---@return any value, inner_universe.Error? err
function core.json_decode(text) end

---One gzip member.
---@param bytes string
---@return string? gzip, inner_universe.Error? err
function core.gzip(bytes) end

---The same as work: its step gives the gzip member.
---@param bytes string
---@return table? work, inner_universe.Error? err
function core.gzip_work(bytes) end

---What a gzip member holds; OverloadedError past `max` bytes (2^30), ValidationError where it is damaged.
---@param gzip string
---@param max? integer
---@return string? bytes, inner_universe.Error? err
function core.gunzip(gzip, max) end

---AES-256-GCM under a nonce drawn anew: base 64 of nonce, ciphertext and tag.
---@param key string 32 bytes
---@param text string
---@param associated string what it is bound to: it opens only with the same one
---@return string? sealed, inner_universe.Error? err
function core.seal(key, text, associated) end

---@param key string 32 bytes
---@param sealed string
---@param associated string
---@return string? text, inner_universe.Error? err AuthorizationError: another key or associated text, or it was changed
function core.unseal(key, sealed, associated) end

---The bytes of a file that its owner alone can read: AuthorizationError where others can, or where it is another user's.
---@param path string
---@return string? text, inner_universe.Error? err
function core.read_secret(path) end

---gzip of any length, one member or several, piece by piece.
---@class inner_universe.GunzipStream
local GunzipStream = {}

---@return inner_universe.GunzipStream
function core.gunzip_stream() end

---What bytes hold, at most `most` (256 KiB), and how many of them were taken: the rest is given again. With "" comes what is still inside. ValidationError
---where they are damaged.
---@param bytes string
---@param most? integer
---@return string? plain, integer|inner_universe.Error used
function GunzipStream:feed(bytes, most) end

---May the bytes end here?
---@return boolean
function GunzipStream:is_whole() end

---The next rows of an iterator (`table_iter`) as bytes: so many at most, and none more once there are that many bytes; nil at the end.
---@param iterator userdata
---@param rows integer
---@param bytes integer
---@return string[]?
function core.next_page(iterator, rows, bytes) end

---What Python's json.dumps(value, sort_keys=True) prints, UTF-8.
---@param value any
---@return string? text, inner_universe.Error? err
function core.json_canonical(value) end

---Hex SHA-256 of the canonical text.
---@param value any
---@return string? hex, inner_universe.Error? err
function core.json_hash(value) end

---An immutable JSON value outside of Lua's memory. `document.key` and `document[i]` give Lua values of scalars and documents of arrays and objects;
---`#` counts elements or members, `pairs` and `ipairs` go through them, `==` compares by value.
---@class inner_universe.Document
---@operator len: integer
local Document = {}

---As plain tables. An object with a member of this name hides the method: `iu.json.totable(document)` always works.
---@return any
function Document:totable() end

---@param text string
---@return inner_universe.Document? document, inner_universe.Error? err
function core.json_document(text) end

---@param document inner_universe.Document
---@return any
function core.json_totable(document) end

---@param value any
---@return boolean
function core.is_document(value) end

---"array" or "object" of a document of one; nil for anything else.
---@param value any
---@return "array"|"object"|nil
function core.document_kind(value) end

---A hash of a value, as hex (core/document/README.md, "The tree hash").
---@param value any
---@return string? hash, inner_universe.Error? err
function core.tree_hash(value) end

---The hash of a value that follows its changes.
---@class inner_universe.HashTree
local HashTree = {}

---@param document inner_universe.Document
---@return inner_universe.HashTree? tree, inner_universe.Error? err
function core.hash_tree(document) end

---The hash of what the operations (set, delete, insert, remove) make of what it is a hash of. After a failure it is of no use any more.
---@param operations inner_universe.Operation[]
---@return string? hash, inner_universe.Error? err
function HashTree:apply(operations) end

---Bytes of what was put in since it was made; they are not given back before it is collected.
---@return integer
function HashTree:spare() end

---The operations that lead from one value to another (core/document/operations.h). `options.arrays`: "auto", "by_index", or the names of keys by the paths
---of the arrays whose elements they are of.
---@param old any
---@param new any
---@param options? { arrays?: "auto"|"by_index"|table<string, string> }
---@return table[]? operations, inner_universe.Error? err
function core.diff_compare(old, new, options) end

---What the operations make of a document: another one, which shares with it what did not change. nil and a ValidationError that names the operation.
---@param document inner_universe.Document
---@param operations table[]|inner_universe.Document
---@return inner_universe.Document? document, inner_universe.Error? err
function core.diff_apply_document(document, operations) end

---The canonical form of JSON text.
---@param json string
---@return string? text, inner_universe.Error? err
function core.canonical_text(json) end

---Hex SHA-256 of the canonical form of JSON text.
---@param json string
---@return string? hex, inner_universe.Error? err
function core.hash_text(json) end

---Hex SHA-256 of any bytes.
---@param bytes string
---@return string
function core.sha256(bytes) end

---@class inner_universe.Wide
---@operator add(inner_universe.Wide|integer): inner_universe.Wide
---@operator sub(inner_universe.Wide|integer): inner_universe.Wide
---@operator mul(inner_universe.Wide|integer): inner_universe.Wide
---@operator unm: inner_universe.Wide
local Wide = {}

---nil when it does not fit into 64 bits.
---@return integer?
function Wide:tointeger() end

---@param value string|integer
---@return inner_universe.Wide? wide, inner_universe.Error? err
function core.wide(value) end

---Microseconds since the epoch.
---@return integer
function core.now() end

---Monotonic seconds.
---@return number
function core.mono() end

---UUIDv7 text.
---@return string
function core.uuid() end

-- the loop -----------------------------------------------------------------------------------------------------------

---One turn; waits up to so long for something (nil: without limit). Raises when the loop is already turning.
---@param wait_seconds? number
---@return boolean more true while there is anything to wait for
function core.loop_turn(wait_seconds) end

---True inside a turn or a delivery.
---@return boolean
function core.loop_turning() end

---Whether the running code is that coroutine itself, not one nested in it, and may yield.
---@param co thread
---@return boolean
function core.may_yield(co) end

---True while a reducer of a module in Lua runs.
---@return boolean
function core.in_reducer() end

---The delivery budget of the next turns, from now. From the first one on what takes long waits for a turn, until it is math.huge.
---@param seconds? number
function core.set_deadline(seconds) end

---Whether a turn would find something to do at once.
---@return boolean
function core.loop_ready() end

---@class inner_universe.Timer
local Timer = {}

function Timer:close() end

---@param seconds number
---@param fn function
---@param repeat_seconds? number
---@return inner_universe.Timer? timer, inner_universe.Error? err
function core.timer(seconds, fn, repeat_seconds) end

---`fn(callback, ...)` runs every callback that C delivers.
---@param fn? fun(callback: function, ...)
function core.set_runner(fn) end

---For tests: what `now` says from now on, in ids and in transactions of universes, too; nil: the wall clock.
---@param micros? integer
function core.pin_clock(micros) end

---For tests: ids follow from the seed (and the pinned time; without one from a day of 2024); nil: they are random again.
---@param seed? integer
function core.seed_uuid(seed) end

---What the alarm calls. It is the scheduler's.
---@param fn? function
function core.set_alarm(fn) end

---Sets the one alarm: it calls its function once in so many seconds, whatever was set before; nil: not at all.
---@param seconds? number
function core.alarm(seconds) end

---@param fn? fun(message_with_traceback: string, value: any)
function core.set_error_handler(fn) end

---@param fn? fun(level: string, message: string)
---@param level? "error"|"warn"|"info"|"debug"|"trace"
function core.set_log(fn, level) end

---@param metatable table
function core.set_error_metatable(metatable) end

---How many Lua values C holds.
---@return integer
function core.debug_refs() end

-- connections --------------------------------------------------------------------------------------------------------

---@class inner_universe.core.HttpRequest
---@field url string http:// or https://
---@field method? string ["GET"]
---@field headers? string[][] { name, value }
---@field body? string
---@field timeout? number seconds for the whole request [30]; with on_data for the head only
---@field max_body? integer bytes of the answer [64 MiB]
---@field ca_file? string
---@field insecure? boolean
---@field on_data? fun(bytes: string) hands the body out as it comes

---One request; `on_done(err, answer)` once, with { status, body, content_type, identity, token, sent }. The handle's close ends it silently.
---@param request inner_universe.core.HttpRequest
---@param on_done fun(err: inner_universe.Error?, answer: table)
---@return inner_universe.Timer? handle
---@return inner_universe.Error?
function core.http(request, on_done) end

---@class inner_universe.core.ProcessRequest
---@field args string[] the program and its arguments
---@field env? string[] "NAME=value": all it gets [this process's]
---@field cwd? string
---@field output_file? string appended to
---@field on_output? fun(bytes: string)
---@field input? boolean a pipe nothing is written to
---@field own_session? boolean

---@class inner_universe.core.Process
local Process = {}

---@return integer
function Process:pid() end

---@param number integer
---@return true?, inner_universe.Error?
function Process:signal(number) end

---What reads its standard input sees the end of it.
function Process:close_input() end

---Lets it go on; its end is not told any more.
function Process:close() end

---Starts a program; `on_exit(status, signal)` once. Closing the handle lets it go on, with its input ended.
---@param request inner_universe.core.ProcessRequest
---@param on_exit fun(status: integer, signal: integer?)
---@return inner_universe.core.Process?, inner_universe.Error?
function core.process(request, on_exit) end

---Signals a process (0: only asks). Whether there is one; nil, AuthorizationError for somebody else's.
---@param pid integer
---@param signal integer
---@return boolean?, inner_universe.Error?
function core.kill(pid, signal) end

---The names in a folder, in no order.
---@param path string
---@return string[]?, inner_universe.Error?
function core.folder_names(path) end

---A file that appears under its name when it is whole and on disk. It is written as another one beside it, which is locked meanwhile.
---@class inner_universe.NewFile
local NewFile = {}

---What to write; where the name is a device or a pipe, that itself.
---@return string
function NewFile:name() end

---After it was written and closed: synced, and renamed over what has the name. Blocks.
---@return true?, inner_universe.Error?
function NewFile:publish() end

---Removes what was not published.
function NewFile:close() end

---@param path string
---@return inner_universe.NewFile?, inner_universe.Error? err StorageError; UniverseLockedError while another one writes it
function core.new_file(path) end

---Makes a folder, and those above it.
---@param path string
---@return true?, inner_universe.Error?
function core.make_folder(path) end

---@class inner_universe.core.Signal
local Signal = {}

---How often it came, as of the loop's last turn.
---@return integer
function Signal:count() end

---The signal does again what it did before.
function Signal:close() end

---Counts a signal of this process instead of obeying it.
---@param number integer
---@return inner_universe.core.Signal?, inner_universe.Error?
function core.signal(number) end

---@class inner_universe.core.Responder
local Responder = {}

---@return integer? nil once closed
function Responder:port() end

---@return integer open now
function Responder:connections() end

---@param request integer
---@param status integer
---@param content_type string
---@param body string
---@return boolean whether it was still waited for
function Responder:answer(request, status, content_type, body) end

---Cuts what is open.
function Responder:close() end

---A small HTTP server (GET, HEAD); `on_request(request, path)` for each, answered by `:answer`. It stays until it is closed.
---@param config { address: string, port?: integer, connections_max: integer, request_bytes_max: integer, timeout: number }
---@param on_request fun(request: integer, path: string)
---@return inner_universe.core.Responder?, inner_universe.Error?
function core.responder(config, on_request) end

---A server's schema answer (version 9), as conn:schema() tells it.
---@param json string
---@return table? schema, inner_universe.Error? err
function core.module_def(json) end

---@class inner_universe.SqlResult
---@field columns { [1]: string, [2]: string }[] name and type
---@field rows table[] by column name, values as in rows of tables; what is absent is absent
---@field rows_inserted? integer
---@field rows_updated? integer
---@field rows_deleted? integer
---@field duration_micros? integer

---The answer to SQL over HTTP: a result a statement.
---@param json string
---@return inner_universe.SqlResult[]? results, inner_universe.Error? err
function core.sql_answer(json) end

---The token kept in a file; nil: none is.
---@param path string
---@return string? token, inner_universe.Error? err
function core.token_read(path) end

---Keeps a token: mode 0600, by renaming, with the folders above.
---@param path string
---@param token string
---@return true? done, inner_universe.Error? err
function core.token_write(path, token) end

---The file that "auto" means: one for each server and database; nil: the user has no folder for it.
---@param address string
---@param port integer
---@param database string
---@return string? path, inner_universe.Error? err
function core.token_path(address, port, database) end

---What a target's text means: { kind = "memory" }, { kind = "file", path }, { kind = "server", address, port, database, tls }.
---@param text string
---@return table? target, inner_universe.Error? err
function core.target(text) end

---"host[:port]" in its parts; nil and what is wrong with it.
---@param text string
---@param port integer where none is given
---@return string? host, integer|string port_or_reason
function core.authority(text, port) end

---@class inner_universe.core.OpenOptions
---@field path? string nil: memory
---@field durability? "full"|"normal"|"off"
---@field flush_interval_ms? integer
---@field fold_bytes? integer
---@field pending_bytes_max? integer
---@field client_info? string
---@field modules? table[] { name, definition, defaults = { { table, position, bytes } }, table_count, run = { function }, log }
---@field known_only? boolean with snapshot: without the tables of the file that no module declares
---@field no_nerv? boolean
---@field reducer_timeout_ms? integer 0: no limit
---@field reducer_memory_mb? integer 0: no limit

---A module definition from a plan (core/bind/module_define.c says what it holds); columns with a default get `bytes`.
---@param plan table
---@return string? bytes, inner_universe.Error? err
function core.module_definition(plan) end

---@param options inner_universe.core.OpenOptions
---@return inner_universe.core.Connection? conn, inner_universe.Error? err a MigrationError has `details`: { table, message } for each difference
function core.open(options) end

---@class inner_universe.core.Connection
local Connection = {}

---@param reducer string
---@param ... any
---@return boolean? done true; nil, err; or false, id, now
---@return any err_or_id
---@return number? now mono() after the call
function Connection:call(reducer, ...) end

---After a call or a session that was refused with OVERLOADED: nothing: not because the journal was full; true: it has room now; false, id: to be waited for
---@return boolean? room
---@return any err_or_id
function Connection:room() end
---As `call`, for who would only wait.
---@param reducer string
---@param ... any
---@return boolean? done true; nil, err; or false, id
---@return any err_or_id
function Connection:call_here(reducer, ...) end

---With tables of a product type filled from `defaults`; nothing at all when name or arguments are refused.
---@param defaults table
---@param reducer string
---@param ... any
---@return boolean? done true; nil, err; false, id; or nothing
---@return any err_or_id
function Connection:call_filled(defaults, reducer, ...) end

---@class inner_universe.Batch
local Batch = {}

---The element `variant` with these fields, tables of a product type filled from `defaults`. Its number; nothing when it is refused.
---@param defaults table
---@param variant string
---@param ... any
---@return integer? number
function Batch:add(defaults, variant, ...) end

---@param value { tag: string, value: any }
---@return integer? number nothing when it is refused
function Batch:put(value) end

---@param number integer
---@return { tag: string, value: any } element
---@return integer micros when it was added
function Batch:get(number) end

---Gives its memory back; idempotent.
function Batch:close() end

---An empty batch of elements of the reducer's first parameter, an array of a sum.
---@param reducer string
---@return inner_universe.Batch? batch, inner_universe.Error? err
function Connection:batch(reducer) end

---@param queries string[]
---@return integer? id, inner_universe.Error? err
function Connection:subscribe(queries) end

---@param id integer
---@return true? ok, inner_universe.Error? err
function Connection:unsubscribe(id) end

---@param sql string
---@return table[]|false|nil rows
---@return any matched_or_err_or_id
function Connection:query(sql) end

---@param name string
---@param spec { filters?: { [1]: string, [2]: string, [3]: string }[], order_by?: string, descending?: boolean, limit?: integer, offset?: integer }
---@return table[]|false|nil rows
---@return any matched_or_err_or_id
function Connection:select(name, spec) end

---@param name string
---@param key any
---@return table|false|nil row
---@return any err_or_id
function Connection:get(name, key) end

---@return boolean? done
---@return any err_or_id
function Connection:flush() end

---Answers when the journal is folded.
---@return boolean? done
---@return any err_or_id
function Connection:fold() end

---The universe's file, absolute; nil: in memory.
---@return string? path, inner_universe.Error? err
function Connection:file() end

---Makes something of SQLite's own in the file, named `_iu_text...` and kept by triggers.
---@param sql string
---@return boolean? done
---@return any err_or_id
function Connection:extend_file(sql) end

---Brings the text index of a table of a universe without a file up to date; makes it first.
---@param table string
---@param sql string what extend_file would run
---@param most integer rows
---@return boolean? more something is left
---@return inner_universe.Error? err
function Connection:text_sync(table, sql, most) end

---Asks that index, once nothing is left.
---@param table string
---@param text string SQL
---@param params table?
---@param seconds number
---@return { columns: string[], rows: any[][] }? answer
---@return inner_universe.Error? err
function Connection:text_sql(table, text, params, seconds) end

---Checks another file against this connection's schema. Blocks; changes nothing.
---@param path string
---@return { findings: { warning: boolean, table: string?, message: string }[], errors: integer, warnings: integer, rows: integer }? result
---@return inner_universe.Error? err
function Connection:check_file(path) end

---Runs queued callbacks.
---@return boolean more
function Connection:deliver() end

---@param identity_hex? string
---@return inner_universe.core.Connection? conn, inner_universe.Error? err
function Connection:session(identity_hex) end

---How `select` would find its rows, in words.
---@param name string
---@param spec table
---@return string?, inner_universe.Error?
function Connection:explain(name, spec) end

---An index over a path or field of a table, for `select`; embedded only.
---@param name string
---@param path string
---@return true?, inner_universe.Error?
function Connection:create_index(name, path) end

---@param name string
---@param path string
---@return true?, inner_universe.Error?
function Connection:drop_index(name, path) end

---@return { table: string, path: string, entries: integer, bytes: integer, state: "ready"|"unordered"|"broken" }[]
function Connection:indexes() end

---A row's BSATN.
---@param name string
---@param row table
---@return string?, inner_universe.Error?
function Connection:row_bytes(name, row) end

---The row of a BSATN.
---@param name string
---@param bytes string
---@return table?, inner_universe.Error?
function Connection:row_of_bytes(name, bytes) end

---A row's bytes as SATS-JSON, and back.
---@param name string
---@param bytes string
---@return string?, inner_universe.Error?
function Connection:row_json(name, bytes) end

---@param name string
---@param text string
---@return string?, inner_universe.Error?
function Connection:row_of_json(name, text) end

---As select, of rows that are given.
---@param name string
---@param rows table[]
---@param spec table
---@return table[]?, any
function Connection:select_from(name, rows, spec) end

---Calls a procedure: false, id; its value is the answer.
---@param name string
---@return boolean?, any
function Connection:procedure(name, ...) end

---Reads the schema of a server anew: true; nil, err; false, id.
---@return boolean?, any
function Connection:refresh_schema() end

---What the schema of a server was made of, for the setting `schema` of a later connection; nil: not known yet, or no server.
---@return string?
function Connection:schema_json() end

---@class inner_universe.core.ConnectOptions
---@field url string ws://host:port or wss://host:port
---@field database string name or identity
---@field token? string
---@field token_file? string
---@field schema? string of schema_json: known before the server says what it is now
---@field protocol? string "v2.bsatn.spacetimedb", ...; nil: the best
---@field compression? "none"|"gzip"|"brotli"
---@field light? boolean
---@field confirmed? "default"|"yes"|"no"
---@field connect_timeout? number seconds, as all times here
---@field ping_interval? number
---@field idle_timeout? number
---@field no_reconnect? boolean
---@field retry_first? boolean
---@field max_attempts? integer
---@field min_delay? number
---@field max_delay? number
---@field away? "refuse"|"queue"
---@field away_calls_max? integer
---@field away_bytes_max? integer
---@field in_flight_max? integer
---@field outgoing_bytes_max? integer
---@field incoming_bytes_max? integer
---@field message_bytes_max? integer
---@field answer_bytes_max? integer
---@field is_owner? boolean
---@field ca_file? string
---@field insecure? boolean

---A connection to a SpacetimeDB server; it connects in the loop's turns and says so to the listener's `state`.
---@param options inner_universe.core.ConnectOptions
---@return inner_universe.core.Connection?, inner_universe.Error?
function core.connect(options) end

---@class inner_universe.core.Listener
---@field state? fun(state: table)
---@field rows? fun(next: (fun(): string?, "insert"|"update"|"delete"?, table?, table?), event: table) next: table, what, new row, old row
---@field subscription? fun(id: integer, what: "applied"|"ended"|"failed", err: inner_universe.Error?)
---@field answer? fun(id: integer, err: inner_universe.Error?, value: any, matched: integer?)
---@field went_well? fun(first_id: integer, last_id: integer) instead of answers that say no more
---@field closed? fun(err: inner_universe.Error?)

---@param listener inner_universe.core.Listener
function Connection:listen(listener) end

---Which changes `listener.rows` hears: 1 insert + 2 update + 4 delete.
---@param name string
---@param mask integer
function Connection:watch(name, mask) end

---@return string hex
function Connection:identity() end

---@return string hex
function Connection:connection_id() end

---@return boolean
function Connection:is_owner() end

---@return boolean
function Connection:is_closed() end

---Whether the schema has it.
---@param kind "tables"|"reducers"|"procedures"
---@param name string
---@return boolean
function Connection:knows(kind, name) end

---Whether only a server's SQL over HTTP answers it: a column list, COUNT(*) or LIMIT over tables that no subscription holds whole.
---@param sql string
---@return boolean
function Connection:query_is_sql(sql) end

---@return { tables: table<string, table>, reducers: table<string, table> }
function Connection:schema() end

---A table as files keep it: a line a column, the primary key, unique constraints, what counts up; types are spelled out, whatever they are called.
---@param name string
---@return string?, inner_universe.Error?
function Connection:definition(name) end

---@return table
function Connection:status() end

---Idempotent; blocks on the journal.
---@return true? ok, inner_universe.Error? err
function Connection:close() end

---@param name string
---@param key any
---@return table? row, inner_universe.Error? err
function Connection:table_get(name, key) end

---What `conn.tables.<name>` has as get, find, range and iter; nil and an error where there is no such table.
---@param name string
---@return function? get, function|inner_universe.Error find, function range, function iter
function Connection:table_reads(name) end

---@param name string
---@param index string
---@param key any
---@return table? found, inner_universe.Error? err
function Connection:table_find(name, index, key) end

---@param name string
---@return integer? count, inner_universe.Error? err
function Connection:table_count(name) end

---@param name string
---@param index? string
---@param low? any
---@param high? any
---@param descending? boolean
---@return fun(): table? next
function Connection:table_iter(name, index, low, high, descending) end

---One read-only query of SQLite over a universe file; NULL is `core.null`.
---@param path string
---@param text string
---@param params? any[]
---@return { columns: string[], rows: any[][] }? result
---@return inner_universe.Error? err
function core.sql(path, text, params) end

---The same in batches on another thread; each step's function hears `nil, rows, last, columns, bytes`.
---@param path string
---@param text string
---@param params? table an array, or values by name
---@param arrays? boolean rows as arrays of values instead of tables by column name
---@return inner_universe.core.Work? work
---@return inner_universe.Error? err
function core.report(path, text, params, arrays) end

---A copy of a universe file, a slice a step; each step's function hears `nil, complete, done, total` (bytes).
---@param source string
---@param target string
---@param overwrite? boolean
---@param lock_source? boolean the source is open nowhere, and must stay so
---@return inner_universe.core.Work? work
---@return inner_universe.Error? err
function core.backup(source, target, overwrite, lock_source) end

---A universe file without unused pages; it must be closed. Blocks.
---@param path string
---@return integer? before bytes
---@return integer|inner_universe.Error after
function core.compact(path) end

---A private copy of a universe file, which is locked until it is closed: core/journal/working_copy.h.
---@param path string
---@return inner_universe.core.WorkingCopy? copy
---@return inner_universe.Error? err
function core.working_copy(path) end

---What an open with these modules would say to the file: tables compared and brought to them, rows loaded; nothing runs. Blocks.
---@param options { path: string, modules?: table[], no_nerv?: boolean }
---@return true? ok, inner_universe.Error? err
function core.rehearse(options) end

---The tables that modules (or one definition) declare, as a file keeps them.
---@param given string|{ modules?: table[], no_nerv?: boolean }
---@return { name: string, definition: string }[]? tables
---@return inner_universe.Error? err
function core.catalog(given) end

---The tables of a working copy: core/journal/reshape.h.
---@param file string
---@return inner_universe.core.Reshape? session
---@return inner_universe.Error? err
function core.reshape(file) end

---@class inner_universe.core.WorkingCopy
local WorkingCopy = {}

---The copy is what the original is now. Each step's function hears `nil, complete, done, total` (bytes).
---@return inner_universe.core.Work? work
---@return inner_universe.Error? err
function WorkingCopy:fill() end

---The original becomes what the copy is.
---@return inner_universe.core.Work? work
---@return inner_universe.Error? err
function WorkingCopy:publish() end

---@return string path of the copy
function WorkingCopy:file() end

---@return string path of the original
function WorkingCopy:target() end

---Removes the copy, unlocks the original; idempotent.
function WorkingCopy:close() end

---@class inner_universe.core.Reshape
local Reshape = {}

---@return { name: string, definition: string }[]
function Reshape:tables() end

---@param name string
---@return integer? rows, inner_universe.Error? err
function Reshape:rows(name) end

---@param name string
---@param key any
---@return table? row, inner_universe.Error? err
function Reshape:get(name, key) end

---@param schema? boolean tables change: readers end
---@return true? ok, inner_universe.Error? err
function Reshape:begin(schema) end

---@return true? ok, inner_universe.Error? err
function Reshape:commit() end

function Reshape:rollback() end

---@param name string
---@return true? ok, inner_universe.Error? err
function Reshape:drop(name) end

---@param name string
---@param to string
---@return true? ok, inner_universe.Error? err
function Reshape:rename(name, to) end

---Other names of columns, other constraints; the same types and primary key.
---@param name string
---@param definition string
---@return true? ok, inner_universe.Error? err
function Reshape:redefine(name, definition) end

---@param name string
---@return true? ok, inner_universe.Error? err
function Reshape:check_unique(name) end

---Where an auto-increment column goes on; 0: where it begins.
---@param name string
---@param which integer from 1
---@return integer? next, inner_universe.Error? err
function Reshape:position(name, which) end

---@return string? list of the modules that had their `init`
---@return inner_universe.Error? err
function Reshape:modules() end

---@param list string
---@return true? ok, inner_universe.Error? err
function Reshape:set_modules(list) end

---@param name string
---@return inner_universe.core.ReshapeReader? reader
---@return inner_universe.Error? err
function Reshape:reader(name) end

---@param mode "create"|"replace"|"append"
---@param name string
---@param definition? string
---@param defaults? table<integer, string> BSATN by column
---@return inner_universe.core.ReshapeWriter? writer
---@return inner_universe.Error? err
function Reshape:writer(mode, name, definition, defaults) end

---Idempotent.
function Reshape:close() end

---@class inner_universe.core.ReshapeReader
local ReshapeReader = {}

---@return table? row, inner_universe.Error? err
function ReshapeReader:next() end

---@return table? row where it stands
function ReshapeReader:current() end

function ReshapeReader:close() end

---@class inner_universe.core.ReshapeWriter
local ReshapeWriter = {}

---@param row table
---@param over? boolean replaces the row of that key
---@param stored? boolean answer the row as it is stored
---@return true|table|nil ok
---@return inner_universe.Error? err
---@return string? column
function ReshapeWriter:put(row, over, stored) end

---The row that a reader stands on, as it is.
---@param reader inner_universe.core.ReshapeReader
---@return true? ok, inner_universe.Error? err
function ReshapeWriter:keep(reader) end

---@param reader inner_universe.core.ReshapeReader
---@param plan table for each column an old one's number, BSATN, or { fn, old column? }
---@param most integer
---@return integer? taken
---@return boolean|inner_universe.Error ended
---@return string? column
---@return any value
function ReshapeWriter:take(reader, plan, most) end

---@return string? name of the column whose function raised
function ReshapeWriter:column() end

---@param key any the primary key, or the row of a table without one
---@return boolean? was_there
---@return inner_universe.Error? err
---@return string? column
function ReshapeWriter:delete(key) end

---@param which integer from 1
---@param next_number integer
function ReshapeWriter:position(which, next_number) end

---@param check? boolean unique constraints
---@return true? ok, inner_universe.Error? err
function ReshapeWriter:finish(check) end

function ReshapeWriter:close() end

---@class inner_universe.core.Work
local Work = {}

---@param on_done fun(err: inner_universe.Error?, ...) once, by the loop's turn
---@param seconds? number how long the step may take
---@return true? ok, inner_universe.Error? err
function Work:step(on_done, seconds) end

---Cancels what runs.
---@param wait? boolean until it is over
function Work:close(wait) end

return core
