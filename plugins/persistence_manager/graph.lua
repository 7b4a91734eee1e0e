-- graph.lua: manager:neighbors and manager:path: walking relations, level by level, the same way on every backend.
--
-- A level is all relations that touch the entities reached last, read with `In` over both ends (an embedded universe looks each up in the index of that end, a
-- server gets the list in bundles). They count in the order of their ids: the first that reaches an entity is the one it is reached by. So an answer
-- depends on nothing but the rows. On a server every level is read at a moment of its own.

local iu = require "inner_universe"

local plugin = ...
local codec = plugin.load "codec"

local CLOSED = "manager is closed or not initialized"
local DEPTH_MAX = 32
local VISITED_MAX = 100000 -- entities that one walk may reach
local RELATIONS_MAX = 1000000 -- relations that one walk may look at
local DIRECTIONS = { out = true, ["in"] = true, both = true }
local NEIGHBORS_OPTIONS = { direction = "string", relation_type = "string", depth = "integer", limit = "any" }
local PATH_OPTIONS = { direction = "string", relation_type = "string", max_depth = "integer" }

return function(ctx, methods)
  local check = ctx.check

  local function invalid(format, ...)
    return nil, iu.errors.new("ValidationError", format:format(...))
  end

  local function overloaded(format, ...)
    return nil, iu.errors.new("OverloadedError", format:format(...))
  end

  local function check_walk(method, options, depth_key)
    local direction, depth = options.direction, options[depth_key]
    if direction ~= nil and not DIRECTIONS[direction] then return invalid("%s: direction: expected out, in or both, got %s", method, direction) end
    if depth and depth > DEPTH_MAX then return overloaded("%s: %s: %d, the limit is %d", method, depth_key, depth, DEPTH_MAX) end
    return true
  end

  local function check_entity(conn, id)
    local row, err = conn:get("entity", id)
    if row then return true end
    return nil, err or codec.not_found("EntityNotFoundError", "entity", id)
  end

  -- ---- one level ----

  -- column: the end that is in the frontier. Against its direction a relation is followed only where it is bidirectional.
  local function touching(conn, walk, column)
    local along = walk.direction == "both" or (walk.direction == "out") == (column == "from_entity")
    local filters = { { field = column, operator = "In", value = iu.array(walk.frontier) } }
    if walk.relation_type then filters[2] = { field = "relation_type", operator = "Equals", value = walk.relation_type } end
    if not along then filters[#filters + 1] = { field = "bidirectional", operator = "Equals", value = true } end
    return conn:select("relation", { filters = filters })
  end

  -- Two lists, each by id, as one.
  local function merge(a, b)
    local out, i, j = {}, 1, 1
    while a[i] or b[j] do
      local x, y = a[i], b[j]
      if not y or (x and x.id <= y.id) then
        if y and x.id == y.id then j = j + 1 end
        out[#out + 1] = x
        i = i + 1
      else
        out[#out + 1] = y
        j = j + 1
      end
    end
    return out
  end

  local function read_level(conn, walk)
    local there, err = touching(conn, walk, "from_entity")
    if not there then return nil, err end
    local back
    back, err = touching(conn, walk, "to_entity")
    if not back then return nil, err end
    walk.looked = walk.looked + #there + #back
    if walk.looked > RELATIONS_MAX then return overloaded("%s: more than %d relations to look at", walk.method, RELATIONS_MAX) end
    return merge(there, back)
  end

  -- found(id, relation, from): whether that was enough. true, or nil, err; walk.enough tells.
  local function expand(walk, relations, found)
    local last, reached = {}, {}
    for _, id in ipairs(walk.frontier) do last[id] = true end
    local function reach(id, relation, from)
      if walk.seen[id] then return end
      walk.seen[id] = true
      walk.visited = walk.visited + 1
      reached[#reached + 1] = id
      walk.enough = found(id, relation, from)
    end
    for _, relation in ipairs(relations) do
      local from, to, both = relation.from_entity, relation.to_entity, walk.direction == "both" or relation.metadata.bidirectional
      if last[from] and (both or walk.direction == "out") then reach(to, relation.id, from) end
      if not walk.enough and last[to] and (both or walk.direction == "in") then reach(from, relation.id, to) end
      if walk.enough then return true end
      if walk.visited > VISITED_MAX then return overloaded("%s: more than %d entities to visit", walk.method, VISITED_MAX) end
    end
    walk.frontier = reached
    return true
  end

  -- Until found says that it is enough, nothing is left to reach, or the depth is.
  local function run(method, id, options, depth, found)
    local conn = ctx.conn
    local walk = {
      method = method, direction = options.direction or "out", relation_type = options.relation_type,
      frontier = { id }, seen = { [id] = true }, visited = 0, looked = 0,
    }
    for level = 1, depth do
      if #walk.frontier == 0 then break end
      local relations, err = read_level(conn, walk)
      if not relations then return nil, err end
      local ok
      ok, err = expand(walk, relations, function(reached, relation, from) return found(reached, relation, from, level) end)
      if not ok then return nil, err end
      if walk.enough then break end
    end
    return true
  end

  -- ---- methods ----

  --- The entities that relations lead to, nearest first: { id, depth, relation = the relation's id, from = the entity before }. Each once, never the start.
  --- options: direction ["out"], "in", "both" (a bidirectional relation is followed both ways in any case); relation_type; depth [1], up to 32; limit.
  ---@param id string
  ---@param options? { direction?: "out"|"in"|"both", relation_type?: string, depth?: integer, limit?: integer }
  ---@return { id: string, depth: integer, relation: string, from: string }[]? neighbors
  ---@return inner_universe.Error? err EntityNotFoundError; OverloadedError past a cap
  function methods:neighbors(id, options)
    local conn = ctx.conn
    if not conn then check.raise(CLOSED) end
    check.type(id, "string", 1, "neighbors", "id")
    check.optional(options, "table", 2, "neighbors", "options")
    options = options or {}
    local ok, err = check.options("neighbors", options, NEIGHBORS_OPTIONS)
    if ok then ok, err = check_walk("neighbors", options, "depth") end
    local out, limit = {}, options.limit or math.huge
    if ok and options.limit and (math.type(limit) ~= "integer" or limit < 0) then
      return invalid("neighbors: limit: expected an integer from 0, got %s", tostring(limit))
    end
    if ok then ok, err = check_entity(conn, id) end
    if not ok then return nil, err end
    if limit == 0 then return out end
    ok, err = run("neighbors", id, options, options.depth or 1, function(reached, relation, from, level)
      out[#out + 1] = { id = reached, depth = level, relation = relation, from = from }
      return #out >= limit
    end)
    if not ok then return nil, err end
    return out
  end

  --- A shortest way over relations: { entities = ids from `from` to `to`, relations = the ids between them, length }. nil (and no err) when there is none
  --- within max_depth [32] relations. options: direction ["out"], relation_type, as of neighbors.
  ---@param from string
  ---@param to string
  ---@param options? { max_depth?: integer, direction?: "out"|"in"|"both", relation_type?: string }
  ---@return { entities: string[], relations: string[], length: integer }? path
  ---@return inner_universe.Error? err EntityNotFoundError; OverloadedError past a cap
  function methods:path(from, to, options)
    local conn = ctx.conn
    if not conn then check.raise(CLOSED) end
    check.type(from, "string", 1, "path", "from")
    check.type(to, "string", 2, "path", "to")
    check.optional(options, "table", 3, "path", "options")
    options = options or {}
    local ok, err = check.options("path", options, PATH_OPTIONS)
    if ok then ok, err = check_walk("path", options, "max_depth") end
    if ok then ok, err = check_entity(conn, from) end
    if ok then ok, err = check_entity(conn, to) end
    if not ok then return nil, err end
    local before, by = {}, {}
    if from ~= to then
      ok, err = run("path", from, options, options.max_depth or DEPTH_MAX, function(reached, relation, last)
        before[reached], by[reached] = last, relation
        return reached == to
      end)
      if not ok then return nil, err end
      if not before[to] then return nil end
    end
    local entities, relations, at = iu.array { to }, iu.array {}, to
    while at ~= from do
      table.insert(relations, 1, by[at])
      at = before[at]
      table.insert(entities, 1, at)
    end
    return { entities = entities, relations = relations, length = #relations }
  end
end
