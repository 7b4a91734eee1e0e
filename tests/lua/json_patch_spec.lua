-- The public suite of JSON Patch (json-patch-tests, from its npm package) through iu.diff.from_json_patch: each record's patch, as operations, makes of its
-- document what it expects; where it expects an error there is one and no operations. Records that the suite has switched off are counted only. Without npm
-- or the registry the spec says what is missing and skips.

local iu = require "inner_universe"
local npm = require "npm"

local FOLDER, PACKAGE, VERSION = "build/json_patch_suite", "json-patch-test-suite", "1.1.0"

local function canonical(v) return assert(iu.json.canonical(v)) end

local function records(name)
  local file = assert(io.open(("%s/%s"):format(npm.folder(FOLDER, PACKAGE), name), "rb"))
  local text = file:read("a")
  file:close()
  return assert(iu.json.decode(text))
end

-- A document by itself (nil: none) in all the ways that it is taken: Lua values, and a document where it is a container.
local function forms(doc)
  local out = { value = doc }
  if type(doc) == "table" then out.document = assert(iu.json.document(assert(iu.json.encode(doc)))) end
  return out
end

local function check(record, what)
  local before = canonical(record.doc)
  for form, doc in pairs(forms(record.doc)) do
    local ops, err = iu.diff.from_json_patch(record.patch, doc)
    if record.error then
      assert.is_nil(ops, ("%s: a patch was taken that must not be: %s"):format(what, record.error))
      assert.truthy(err.kind == "ValidationError" or err.kind == "ConflictError", ("%s: %s"):format(what, err))
    else
      assert(ops, ("%s: %s"):format(what, err))
      local after = assert(iu.diff.apply(doc, ops))
      if record.expected ~= nil then assert.equal(canonical(record.expected), canonical(after), ("%s, as a %s"):format(what, form)) end
      -- And through a patch of our own, and back.
      local patch = assert(iu.diff.to_json_patch(ops, doc))
      local again = assert(iu.diff.from_json_patch(patch, doc))
      assert.equal(canonical(after), canonical(assert(iu.diff.apply(doc, again))), what)
      assert.equal(before, canonical(assert(iu.diff.apply(after, assert(iu.diff.invert(ops, doc))))), what)
    end
  end
  assert.equal(before, canonical(record.doc), what)
end

describe("JSON Patch", function()
  for name, least in pairs { ["tests.json"] = 70, ["spec_tests.json"] = 16 } do
    it("does what the public suite says, in " .. name, function()
      local reason = npm.missing(FOLDER, PACKAGE, VERSION)
      if reason then
        io.stderr:write("# skipped: ", reason, "\n")
        pending(reason)
        return
      end
      local ran, refused, off = 0, 0, 0
      for i, record in ipairs(records(name)) do
        if record.disabled then
          off = off + 1
        elseif record.patch ~= nil and record.doc ~= nil then
          check(record, ("record %d (%s)"):format(i, record.comment or record.error or "no comment"))
          ran, refused = ran + 1, refused + (record.error and 1 or 0)
        end
      end
      print(("# json_patch_spec: %s: %d records, %d of them errors; %d switched off"):format(name, ran, refused, off))
      assert.is_true(ran >= least, ran)
      assert.is_true(refused >= 4, refused)
    end)
  end
end)
