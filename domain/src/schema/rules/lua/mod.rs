//! A recogniser for Lua as LuaJIT compiles it, enough to refuse what no gateway could compile. Nothing is ever run.

mod parser;
mod token;

use parser::Parser;
use token::tokens;

/// Whether the text is one expression.
pub(super) fn expression(text: &str) -> Result<(), String> {
    Parser::new(&tokens(text)?).whole_expression()
}

/// Whether the text is a chunk: statements, of which the last may be `return`.
pub(super) fn chunk(text: &str) -> Result<(), String> {
    Parser::new(&tokens(text)?).chunk()
}

/// A handler of the pre-function and post-function plugins.
pub(super) fn handler(text: &str) -> Result<(), String> {
    chunk(text).map_err(|reason| format!("error parsing function: {reason}"))
}

/// A value of `custom_fields_by_lua`.
pub(super) fn field_value(text: &str) -> Result<(), String> {
    chunk(text).map_err(|reason| format!("Error parsing function: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_lua_are_accepted() {
        for good in [
            "headers.x",
            "headers['x-a'] or 'none'",
            "query_params.a .. \"b\" .. 1.5e-3",
            "f(1, {a = 1; 2, [3] = 4,})[1]:m'x' == nil",
            "not (a and -b ^ 2 >= #c)",
            "[==[ ]] ]==] .. 0xFF",
            "(function() return 1 end)()",
            "...",
        ] {
            assert_eq!(expression(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_no_lua_compiles_is_refused() {
        for bad in [
            "", "1 +", "a b", "(a", "a,b", "x = 1", "'a", "1x", "a.", "a:b", "@", "{1 2}", "local", "a...",
        ] {
            assert!(expression(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn chunks_of_lua_are_accepted() {
        for good in [
            "",
            "-- nothing",
            "return",
            "return 1, 2;",
            "kong.log('x') kong.service.request.set_header(\"a\", [[b]])",
            "local a, b = ...; a.b['c'], d = 1, f{}:g''",
            "if a then return elseif b then goto done else b() end ::done::",
            "for i = 1, 10, 2 do break end for k, v in pairs(t) do t[k] = nil end",
            "while true do repeat local x = #y until not x end",
            "function a.b.c:d(e, ...) return function() end end",
            "local function f() return f end --[==[ ]] ]==] return f",
            "return function(conf) if conf then (f or g)(conf) end end",
            "x = 0x1p4 + 1ULL + 0xFFll + 2i + 1e-3 .. '\\z  \n  a'",
        ] {
            assert_eq!(chunk(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn chunks_that_no_lua_compiles_are_refused() {
        for bad in [
            "return (",
            "return 1 2",
            "if a then",
            "end",
            "x",
            "f() = 1",
            "(a) = 1",
            "local 1",
            "for i do end",
            "function() end",
            "a.b:c = 1",
            "return 1; x()",
            "--[[ open",
            "local s = 'open",
            "x = 1p4",
        ] {
            assert!(chunk(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(chunk(&"do ".repeat(100_000)).is_err());
        assert!(expression(&"(".repeat(100_000)).is_err());
        assert!(expression(&"{".repeat(100_000)).is_err());
        assert_eq!(
            expression(&format!("{}a{}", "(".repeat(100), ")".repeat(100))),
            Ok(())
        );
    }
}
