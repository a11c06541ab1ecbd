local list = { 3, 1, 2 }
table.sort(list, function(left, right) return left > right end)
table.insert(list, 2, "x")
table.remove(list)
local text = table.concat({ "a", "b", unpack({ "c", "d" }) }, ", ", 1, 3)
text = text:upper():rep(3):sub(2, -2):reverse() .. string.char(65, 66) .. ("%5.2f|%q|%s"):format(1 / 3, text, tostring(nil))
local first, last, word = text:find("(%a+)", 1)
local ok = select("#", first, last, word) == 3 and tonumber("0x10") == 16 and math.floor(2.5) == 2
local meta = setmetatable({}, { __index = function(_, key) return key .. "!" end, __call = function(_, x) return x end })
for key, value in pairs({ a = 1, b = { 2 } }) do
  meta[key] = type(value)
end
assert(ok, "never")
return { name = "own-library", fields = { { config = { type = "record", fields = { { a = { type = "string", default = meta.b .. meta("x") } } } } } } }
