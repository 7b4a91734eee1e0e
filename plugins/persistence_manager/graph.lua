-- graph.lua: manager:neighbors and manager:path: walking relations, level by level, the same way on every backend.
--
-- A level is all relations that touch the entities reached last, read with `In` over both ends (an embedded universe looks each up in the index of that end, a
-- server gets the list in bundles). They count in the order of their ids: the first that reaches an entity is the one it is reached by. So an answer
-- depends on nothing but the rows. On a server every level is read at a moment of its own.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
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
    local total = walk.total
    total.looked = total.looked + #there + #back
    if total.looked > RELATIONS_MAX then return overloaded("%s: more than %d relations to look at", walk.method, RELATIONS_MAX) end
    return merge(there, back)
  end

  -- found(id, relation, from): whether that was enough. true, or nil, err; walk.enough tells.
  local function expand(walk, relations, found)
    local last, reached, total = {}, {}, walk.total
    for _, id in ipairs(walk.frontier) do last[id] = true end
    local function reach(id, relation, from)
      if walk.seen[id] then return end
      walk.seen[id] = true
      total.visited = total.visited + 1
      reached[#reached + 1] = id
      walk.enough = found(id, relation, from)
    end
    for _, relation in ipairs(relations) do
      local from, to, both = relation.from_entity, relation.to_entity, walk.direction == "both" or relation.metadata.bidirectional
      if last[from] and (both or walk.direction == "out") then reach(to, relation.id, from) end
      if not walk.enough and last[to] and (both or walk.direction == "in") then reach(from, relation.id, to) end
      if walk.enough then return true end
      if total.visited > VISITED_MAX then return overloaded("%s: more than %d entities to visit", walk.method, VISITED_MAX) end
    end
    walk.frontier = reached
    return true
  end

  local function new_walk(method, id, direction, relation_type, total)
    return {
      method = method, direction = direction, relation_type = relation_type, total = total, frontier = { id }, seen = { [id] = true },
    }
  end

  local function step(conn, walk, found)
    local relations, err = read_level(conn, walk)
    if not relations then return nil, err end
    return expand(walk, relations, found)
  end

  -- ---- methods ----

  -- conn: the connection, or what has its `get` and `select`.
  local function neighbors(conn, id, options)
    local ok, err = check.options("neighbors", options, NEIGHBORS_OPTIONS)
    if ok then ok, err = check_walk("neighbors", options, "depth") end
    local out, limit = {}, options.limit or math.huge
    if ok and options.limit and (math.type(limit) ~= "integer" or limit < 0) then
      return invalid("neighbors: limit: expected an integer from 0, got %s", tostring(limit))
    end
    if ok then ok, err = check_entity(conn, id) end
    if not ok then return nil, err end
    if limit == 0 then return out end
    local walk = new_walk("neighbors", id, options.direction or "out", options.relation_type, { visited = 0, looked = 0 })
    for depth = 1, options.depth or 1 do
      ok, err = step(conn, walk, function(reached, relation, from)
        out[#out + 1] = { id = reached, depth = depth, relation = relation, from = from }
        return #out >= limit
      end)
      if not ok then return nil, err end
      if walk.enough or #walk.frontier == 0 then break end
    end
    return out
  end

  --- The entities that relations lead to, nearest first: { id, depth, relation = the relation's id, from = the entity before }. Each once, never the start.
  --- options: direction ["out"], "in", "both" (a bidirectional relation is followed both ways in any case); relation_type; depth [1], up to 32; limit.
  ---@param id string
  ---@param options? { direction?: "out"|"in"|"both", relation_type?: string, depth?: integer, limit?: integer }
  ---@return { id: string, depth: integer, relation: string, from: string }[]? neighbors
  ---@return inner_universe.Error? err EntityNotFoundError; OverloadedError past a cap
  function methods:neighbors(id, options)
    local conn = ctx.conn
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.neighbors, "neighbors", id, options)
    return neighbors(conn, id, options or {})
  end

  -- From both ends, a level of the smaller side at a time, until one reaches what the other has: the entity where they meet, or nil (and an err). entity and
  -- relation of a walk tell what each entity was reached from and by. The first that meets is on a shortest way: a shorter one had met before.
  local function meet(conn, ends, depth)
    local here, there = ends[1], ends[2]
    for _ = 1, depth do
      if #here.frontier == 0 or #there.frontier == 0 then return nil end
      if #there.frontier < #here.frontier then here, there = there, here end
      local met
      local ok, err = step(conn, here, function(reached, relation, from)
        here.entity[reached], here.relation[reached] = from, relation
        if there.seen[reached] then met = reached end
        return met ~= nil
      end)
      if not ok then return nil, err end
      if met then return met end
    end
    return nil
  end

  -- From an entity back to where a walk began: appends the relations and entities between.
  local function trace(walk, at, entities, relations)
    while walk.entity[at] do
      relations[#relations + 1] = walk.relation[at]
      at = walk.entity[at]
      entities[#entities + 1] = at
    end
  end

  local function reversed(list)
    local out = iu.array {}
    for i = #list, 1, -1 do out[#out + 1] = list[i] end
    return out
  end

  local BACK = { out = "in", ["in"] = "out", both = "both" }

  local function path(conn, from, to, options)
    local ok, err = check.options("path", options, PATH_OPTIONS)
    if ok then ok, err = check_walk("path", options, "max_depth") end
    if ok then ok, err = check_entity(conn, from) end
    if ok then ok, err = check_entity(conn, to) end
    if not ok then return nil, err end
    local direction, total = options.direction or "out", { visited = 0, looked = 0 }
    local forward = new_walk("path", from, direction, options.relation_type, total)
    local backward = new_walk("path", to, BACK[direction], options.relation_type, total)
    for _, walk in ipairs { forward, backward } do walk.entity, walk.relation = {}, {} end
    local met = from
    if from ~= to then
      met, err = meet(conn, { forward, backward }, options.max_depth or DEPTH_MAX)
      if not met then return nil, err end
    end
    local entities, relations = { met }, {}
    trace(forward, met, entities, relations)
    entities, relations = reversed(entities), reversed(relations)
    trace(backward, met, entities, relations)
    return { entities = entities, relations = relations, length = #relations }
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
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.path, "path", from, to, options)
    return path(conn, from, to, options or {})
  end

  return { neighbors = neighbors, path = path }
end
