-- line.lua: things in the order in which they came, any of which may leave. Coming costs nothing much, leaving neither (mostly it is the first that leaves).

local Line = {}
Line.__index = Line

--- Its place, for `remove`.
function Line:add(thing)
  self.last = self.last + 1
  self.things[self.last] = thing
  self.count = self.count + 1
  return self.last
end

function Line:remove(place)
  self.things[place] = nil
  self.count = self.count - 1
  if self.count == 0 then
    self.at, self.last = 1, 0
    return
  end
  while self.things[self.at] == nil do self.at = self.at + 1 end
end

--- The oldest, or nil.
function Line:first()
  return self.things[self.at]
end

--- For `for`: oldest first.
function Line:each()
  local at = self.at - 1
  return function()
    while at < self.last do
      at = at + 1
      local thing = self.things[at]
      if thing ~= nil then return thing end
    end
  end
end

return function()
  return setmetatable({ things = {}, at = 1, last = 0, count = 0 }, Line)
end
