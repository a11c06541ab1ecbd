-- Lua's own `next` and `pairs` go by where in memory a key is, `tostring` and `error` show it: what a schema does would differ each time.
local next, type, error, tostring, getmetatable, rawget = ...

local in_memory = { ["table"] = true, ["function"] = true, ["thread"] = true }

local function next_by_content(list, key)
  local found, value = next(list, key)
  if in_memory[type(found)] then
    error("a table whose keys are tables or functions has no order to walk it in", 2)
  end
  return found, value
end

local function pairs_by_content(list)
  if type(list) ~= "table" then
    error("pairs takes a table", 2)
  end
  return next_by_content, list, nil
end

local function shown(value)
  local kind = type(value)
  if kind == "userdata" then
    return "userdata: NULL"
  end
  local meta = in_memory[kind] and getmetatable(value)
  if not in_memory[kind] or (type(meta) == "table" and rawget(meta, "__tostring") ~= nil) then
    return tostring(value)
  end
  return kind
end

local function fail(message, level)
  level = level or 1
  if in_memory[type(message)] then
    message = shown(message)
  end
  error(message, level > 0 and level + 1 or 0)
end

return next_by_content, pairs_by_content, shown, fail
