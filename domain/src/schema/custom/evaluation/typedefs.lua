-- The field definitions that plugins share (`domain/schemas/README.md` §6.1), for `require "kong.db.schema.typedefs"`. A definition can be
-- called with a table to get a copy with other attributes on top.

local function rule(id) return { __rule = id } end

local callable = {}

local function typedef(definition) return setmetatable(definition, callable) end

callable.__call = function(definition, overrides)
  local copy = {}
  for name, value in pairs(definition) do copy[name] = value end
  for name, value in pairs(overrides or {}) do copy[name] = value end
  return typedef(copy)
end

local PROTOCOLS = { "grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp" }
local HTTP_PROTOCOLS = { "grpc", "grpcs", "http", "https" }

local function text(definition)
  definition.type = "string"
  return typedef(definition)
end

local function protocols(choices, default)
  return typedef {
    type = "set",
    required = true,
    default = default,
    elements = { type = "string", one_of = choices },
  }
end

local function nothing(reference)
  return typedef { type = "foreign", reference = reference, eq = ngx.null }
end

local function integer(low, high) return typedef { type = "integer", between = { low, high } } end

local typedefs = {
  auto_timestamp_s = typedef { type = "integer", timestamp = true, auto = true },
  auto_timestamp_ms = typedef { type = "number", timestamp = true, auto = true },
  certificate = text { custom_validator = rule "certificate" },
  cidr_v4 = text { custom_validator = rule "ip_or_cidr" },
  cookie_name = text { custom_validator = rule "http_token" },
  header_name = text { custom_validator = rule "header_name" },
  headers = typedef {
    type = "map",
    keys = { type = "string", custom_validator = rule "header_name" },
    values = { type = "array", elements = { type = "string" } },
  },
  host = text { custom_validator = rule "host" },
  host_with_optional_port = text { custom_validator = rule "host_with_optional_port" },
  http_method = text { match = "^%u+$" },
  ip = text { custom_validator = rule "ip" },
  ip_or_cidr = text { custom_validator = rule "ip_or_cidr" },
  key = text { custom_validator = rule "key" },
  lua_code = typedef {
    type = "map",
    keys = { type = "string", len_min = 1 },
    values = { type = "string", len_min = 1, custom_validator = rule "lua_expression" },
  },
  methods = typedef { type = "set", elements = { type = "string", match = "^%u+$" } },
  no_consumer = nothing "consumers",
  no_consumer_group = nothing "consumer_groups",
  no_route = nothing "routes",
  no_service = nothing "services",
  path = text {
    starts_with = "/",
    match_none = { { pattern = "//", err = "must not have empty segments" } },
    custom_validator = rule "path",
  },
  port = integer(0, 65535),
  protocol = text { one_of = PROTOCOLS },
  protocols = protocols(PROTOCOLS, HTTP_PROTOCOLS),
  protocols_http = protocols(HTTP_PROTOCOLS, HTTP_PROTOCOLS),
  protocols_https = protocols({ "https", "grpcs" }, { "https" }),
  protocols_stream = protocols({ "tcp", "tls", "udp" }, { "tcp", "tls", "udp" }),
  redis_host = text { custom_validator = rule "host" },
  redis_server_name = text { custom_validator = rule "sni" },
  semantic_version = text {
    match_any = { patterns = { "^%d+[%.%d]*$", "^%d+[%.%d]*%-?.*$" }, err = "invalid version number" },
    match_none = { { pattern = "%.%.", err = "must not have empty version segments" } },
  },
  sni = text { custom_validator = rule "sni" },
  tag = text { required = true, custom_validator = rule "tag" },
  tags = typedef { type = "set", elements = { type = "string", required = true, custom_validator = rule "tag" } },
  timeout = integer(0, 2147483646),
  ttl = typedef { type = "number", between = { 0, 100000000 } },
  url = text { custom_validator = rule "url" },
  utf8_name = text { unique = true, custom_validator = rule "utf8_name" },
  uuid = text { uuid = true, auto = true },
  wildcard_host = text { custom_validator = rule "wildcard_host" },
}

return typedefs
