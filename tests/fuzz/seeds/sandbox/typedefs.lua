local typedefs = require "kong.db.schema.typedefs"

return {
  name = "own-headers",
  fields = {
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    { config = {
        type = "record",
        fields = {
          { header = typedefs.header_name { required = true, default = "X-Own" } },
          { url = typedefs.url },
          { port = typedefs.port { default = 80 } },
          { allow = { type = "array", elements = { type = "string", match = "^[%w-]+$" }, len_max = 3 } },
          { ratio = { type = "number", between = { 0, 1 }, default = 0.5 } },
          { mode = { type = "string", one_of = { "a", "b" }, default = "a" } },
          { limits = { type = "map", keys = { type = "string" }, values = { type = "integer", gt = 0 } } },
        },
        entity_checks = {
          { conditional = { if_field = "mode", if_match = { eq = "b" }, then_field = "url", then_match = { required = true } } },
          { at_least_one_of = { "header", "url" } },
        },
    } },
  },
}
