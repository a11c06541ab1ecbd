//! Whom a text in a request names. What is called by a secret, such as an API key, is looked up by it only for those who may read
//! secrets: everybody else could try one guess after another.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use axum::http::StatusCode;
use domain::Kind;
use domain::group::Selector;
use uuid::Uuid;

use super::exchange::Exchange;
use super::presentation::REDACTED;
use super::refusal::Refusal;

impl Exchange {
    /// The entity of a kind that a text names: by its id, or by what entities of that kind are called.
    pub(crate) fn named(&self, kind: Kind, text: &str) -> Result<Selector, Refusal> {
        let selector = Selector::parse(text);
        match &selector {
            Selector::Key(_) if is_called_by_a_secret(kind) && !self.caller()?.reads_secrets() => {
                Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    format!(
                        "{kind} are looked up by a secret only with a token that may read secrets: name it by its id"
                    ),
                ))
            }
            _ => Ok(selector),
        }
    }

    /// The entity of a kind that a parameter of the path names.
    pub(crate) fn named_in_path(&self, kind: Kind, parameter: &str) -> Result<Selector, Refusal> {
        self.named(kind, self.parameter(parameter)?)
    }
}

/// A path as it may be logged: without the secrets by which it names somebody.
pub(crate) fn without_secrets(path: &str) -> Cow<'_, str> {
    static COLLECTIONS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let kinds = Kind::all().filter(|kind| is_called_by_a_secret(*kind));
        kinds
            .flat_map(|kind| [kind.schema().collection, kind.schema().nested_collection])
            .collect()
    });
    let segments: Vec<_> = path.split('/').collect();
    let is_secret = |place: usize| {
        let is_below = place > 0 && COLLECTIONS.contains(segments[place - 1]);
        is_below && !segments[place].is_empty() && Uuid::try_parse(segments[place]).is_err()
    };
    if !(0..segments.len()).any(is_secret) {
        return Cow::Borrowed(path);
    }
    let shown = |place| {
        if is_secret(place) {
            REDACTED
        } else {
            segments[place]
        }
    };
    (0..segments.len())
        .map(shown)
        .collect::<Vec<_>>()
        .join("/")
        .into()
}

/// Whether what may stand in place of an id is a secret.
fn is_called_by_a_secret(kind: Kind) -> bool {
    let schema = kind.schema();
    let field = schema.endpoint_key.and_then(|name| schema.record.field(name));
    field.is_some_and(|field| field.sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_api_keys_are_called_by_a_secret() {
        let kinds = Kind::all().filter(|kind| kind.schema().served && is_called_by_a_secret(*kind));
        let names: Vec<_> = kinds.map(Kind::name).collect();
        assert_eq!(names, ["keyauth_credentials"]);
    }

    #[test]
    fn a_key_in_a_path_is_not_logged() {
        for (path, logged) in [
            (
                "/groups/g/admin/key-auths/hunter2/consumer",
                "/groups/g/admin/key-auths/{redacted}/consumer",
            ),
            (
                "/groups/g/admin/consumers/ada/key-auth/hunter2",
                "/groups/g/admin/consumers/ada/key-auth/{redacted}",
            ),
            (
                "/groups/g/admin/consumers/ada/key-auth/",
                "/groups/g/admin/consumers/ada/key-auth/",
            ),
            ("/groups/g/admin/services/key", "/groups/g/admin/services/key"),
        ] {
            assert_eq!(without_secrets(path), logged);
        }
        let by_id = "/v2/runtime-groups/g/core-entities/key-auths/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a51";
        assert_eq!(without_secrets(by_id), by_id);
    }
}
