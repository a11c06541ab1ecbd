//! A request's query string: decoded once, unknown parameters refused where an endpoint is our own.

use percent_encoding::percent_decode_str;

use super::refusal::Refusal;

/// Decoded parameters in the order of the URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query string (without `?`); `+` is a space, as forms write it.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let decode = |piece: &str| {
            let spaced = piece.replace('+', " ");
            percent_decode_str(&spaced)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Refusal::bad_request("the query string isn't valid UTF-8"))
        };
        let pieces = text.split('&').filter(|piece| !piece.is_empty());
        let pair = |piece: &str| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(name)?, decode(value)?))
        };
        pieces.map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Names and values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Those of these parameters that were given, with their values.
    pub(crate) fn given(&self, names: &[&'static str]) -> Vec<(&'static str, &str)> {
        let given = names.iter().filter_map(|name| Some((*name, self.get(name)?)));
        given.collect()
    }

    /// A switch: absent is off; `name`, `name=true` and `name=1` are on.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(Refusal::invalid(name, "is_boolean", "must be true or false")),
        }
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| Refusal::invalid(name, "is_integer", "must be a whole number, 0 or above"))
        };
        self.get(name).map(read).transpose()
    }

    /// Refuses parameters that an endpoint doesn't have; a name that ends in `[` stands for everything below it.
    pub(crate) fn refuse_unknown<'name>(
        &self,
        known: impl Iterator<Item = &'name str> + Clone,
    ) -> Result<(), Refusal> {
        for (name, _) in self.iter() {
            let matches = |known: &str| known == name || (known.ends_with('[') && name.starts_with(known));
            if !known.clone().any(matches) {
                let names: Vec<_> = known.map(|known| known.trim_end_matches('[')).collect();
                let reason = match names.is_empty() {
                    true => "this endpoint has no query parameters".to_owned(),
                    false => format!("unknown query parameter; known ones: {}", names.join(", ")),
                };
                return Err(Refusal::invalid(name, "unknown_property", reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_flags_read() {
        let query = Query::parse("labels=a%3Ab&dry_run&filter[name][contains]=x+y").unwrap();
        assert_eq!(query.get("labels"), Some("a:b"));
        assert_eq!(query.get("filter[name][contains]"), Some("x y"));
        assert!(query.flag("dry_run").unwrap());
        assert!(!query.flag("prune").unwrap());
    }

    #[test]
    fn unknown_parameters_are_named_beside_the_known_ones() {
        let query = Query::parse("filter[name]=x&pagesize=3").unwrap();
        let refusal = query
            .refuse_unknown(["filter[", "page[size]"].into_iter())
            .unwrap_err();
        assert_eq!(
            refusal.message,
            "pagesize: unknown query parameter; known ones: filter, page[size]"
        );
    }
}
