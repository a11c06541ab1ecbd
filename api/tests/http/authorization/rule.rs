//! Who is promised what, written down once more: nothing here asks the program.

use axum::http::Method;

/// What is needed to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// Not even a token.
    Nothing,
    /// There is nothing that would do: a login that doesn't exist here.
    Impossible,
    /// A token of a person; it is answered what it may see.
    AnyToken,
    /// A token of the whole organization.
    Organization { writes: bool },
    /// A token of the whole organization, or of the group in the path.
    Group { writes: bool, deleted_too: bool },
}

/// What a caller may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Nothing: who it is isn't known, or not any more.
    Nothing,
    /// Connect as a runtime instance, which isn't done here.
    Connect,
    /// Read, or write too, where it is at home.
    Act { writes: bool, home: Home },
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Organization,
    Group(Place),
    /// Another organization of the same installation.
    OtherOrganization,
}

/// A group that a path may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    One,
    Other,
    Default,
    Restored,
    Deleted,
    /// Another organization's.
    Foreign,
    /// It never existed.
    Never,
}

/// What a caller has to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Whatever it asked for.
    Answer,
    /// 401.
    Stranger,
    /// 403.
    Forbidden,
    /// 404.
    Missing,
}

impl Needs {
    /// What an endpoint needs, by its method and its path in the document.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let reads = method == Method::GET;
        let Some((before, below)) = path.split_once("{group}") else {
            return match path {
                "/healthz" | "/readyz" | "/v2/log/jwks.json" => Self::Nothing,
                "/kauth/api/v1/authenticate" => Self::Impossible,
                "/openapi.json" | "/v2/organizations/me" | "/konnect-api/api/userinfo" => Self::AnyToken,
                "/v2/runtime-groups" | "/v2/control-planes" | "/konnect-api/api/runtime_groups" if reads => {
                    Self::AnyToken
                }
                _ => Self::Organization { writes: !reads },
            };
        };
        if matches!(below, "/restore" | "/purge") {
            return Self::Organization { writes: true };
        }
        let entities = match before {
            "/konnect-api/api/runtime_groups/" => Some(below),
            "/groups/" => below.strip_prefix("/admin"),
            _ => below.strip_prefix("/core-entities"),
        };
        let only_computes = match entities {
            Some(path) => path.starts_with("/schemas/") && path.ends_with("/validate"),
            None => below == "/diff",
        };
        // What is signed may be used to add a certificate.
        let writes = !reads && !only_computes || below == "/dp-client-certificates/challenge";
        let is_history = match entities {
            Some(path) => is_of_entities(path),
            None => ["/versions", "/history", "/dump", "/diff"]
                .iter()
                .any(|kept| below.starts_with(kept)),
        };
        Self::Group {
            writes,
            deleted_too: is_history && !writes,
        }
    }

    /// The same in the words of the document.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Nothing | Self::Impossible => "no token needed",
            Self::AnyToken => "any admin or viewer token; answers hold what the token may see",
            Self::Organization { writes: false } => "an admin or viewer token of the organization",
            Self::Organization { writes: true } => "an admin token of the organization",
            Self::Group { writes: true, .. } => "an admin token of the organization or of this group",
            Self::Group {
                deleted_too: false, ..
            } => "an admin or viewer token of the organization or of this group",
            Self::Group {
                deleted_too: true, ..
            } => "an admin or viewer token of the organization or of this group; deleted groups by id",
        }
    }

    /// What a caller hears who names a group, by its id or by its name.
    pub(super) fn due(self, may: May, place: Place, by_id: bool) -> Due {
        let (can_write, home) = match may {
            _ if self == Self::Nothing => return Due::Answer,
            _ if self == Self::Impossible => return Due::Stranger,
            May::Nothing => return Due::Stranger,
            May::Connect => return Due::Forbidden,
            May::Act { writes, home } => (writes, home),
        };
        match (self, home) {
            (Self::Organization { writes: true } | Self::Group { writes: true, .. }, _) if !can_write => {
                Due::Forbidden
            }
            (Self::Organization { .. }, Home::Group(_)) => Due::Forbidden,
            (Self::Group { .. }, Home::Group(own)) if own != place => Due::Forbidden,
            (Self::Group { deleted_too, .. }, Home::Organization) => match place {
                Place::Foreign | Place::Never => Due::Missing,
                Place::Deleted if !(by_id && deleted_too) => Due::Missing,
                _ => Due::Answer,
            },
            (Self::Group { .. }, Home::OtherOrganization) => match place {
                Place::Foreign => Due::Answer,
                // Every organization has a group of this name.
                Place::Default if !by_id => Due::Answer,
                _ => Due::Missing,
            },
            _ => Due::Answer,
        }
    }
}

/// Whether a path below a place of entities is about entities, which are remembered, and not about what a group is now.
fn is_of_entities(path: &str) -> bool {
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let about_now = match segments.as_slice() {
        [] => true,
        [
            "clustering" | "config" | "endpoints" | "schemas" | "status" | "v1",
            ..,
        ] => true,
        ["plugins", "enabled" | "schema", ..] | ["upstreams", _, "health"] => true,
        _ => segments.contains(&"filter-chains"),
    };
    !about_now
}
