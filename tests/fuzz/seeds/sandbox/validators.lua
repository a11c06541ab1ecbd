local function even(value)
  if value % 2 == 0 then
    return true
  end
  return nil, ("%d is odd"):format(value)
end

return {
  name = "own-limits",
  fields = {
    { config = {
        type = "record",
        custom_validator = function(config)
          local seen = {}
          for name in (config.names or ""):gmatch("[^,]+") do
            if seen[name] then
              return nil, "twice: " .. name:gsub("%s", "_")
            end
            seen[name] = true
          end
          return true
        end,
        fields = {
          { names = { type = "string", not_match = "%c", custom_validator = function(text) return #text < 100, "too long" end } },
          { steps = { type = "set", elements = { type = "integer", custom_validator = even } } },
          { rules = { type = "array", elements = { type = "record", fields = {
              { path = { type = "string", starts_with = "/", match_none = { { pattern = "//", err = "no empty part" } } } },
              { weight = { type = "integer", default = 1 } },
          } } } },
        },
    } },
  },
}
