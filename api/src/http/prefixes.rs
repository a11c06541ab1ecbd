//! The places where a group's entities are served: three for clients of Konnect, one that is a Kong Admin API.

use domain::group::OmittedChildren;

/// A place where entities are served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    /// The path before the collection.
    pub(crate) base: &'static str,
    /// What a PUT without a certificate's `snis` means here (`deck-go-kong.md` §0 item 10).
    pub(crate) omitted_children: OmittedChildren,
    /// Whether `?skip_hash` stores a password as it is sent, because it is a hash already.
    pub(crate) skips_hashing: bool,
    /// Paths below `base` that aren't served here, nor what is below them.
    switched_off: &'static [&'static str],
}

/// The Kong Admin API of a group.
pub(crate) const ADMIN: Prefix = Prefix {
    base: "/groups/{group}/admin",
    omitted_children: OmittedChildren::Delete,
    skips_hashing: false,
    switched_off: &["/targets", "/snis/{entity}/certificate"],
};

/// A group as a control plane of Konnect, under the names that its clients used over the years.
pub(crate) const KONNECT: [Prefix; 3] = [
    konnect("/v2/runtime-groups/{group}/core-entities"),
    konnect("/v2/control-planes/{group}/core-entities"),
    konnect("/konnect-api/api/runtime_groups/{group}"),
];

/// Where entities are served.
pub(crate) const PREFIXES: [Prefix; 4] = [KONNECT[0], KONNECT[1], KONNECT[2], ADMIN];

const fn konnect(base: &'static str) -> Prefix {
    Prefix {
        base,
        omitted_children: OmittedChildren::Keep,
        skips_hashing: true,
        switched_off: &[],
    }
}

impl Prefix {
    /// Whether a path of an endpoint below `base` is served here.
    pub(crate) fn serves(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.base).unwrap_or(path);
        let is = |off: &&str| {
            below
                .strip_prefix(*off)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.switched_off.iter().any(is)
    }

    /// A request's path without what `base` stands for, as pages name the next one.
    pub(crate) fn relative(&self, path: &str) -> String {
        let segments = path.split('/').skip(self.base.split('/').count());
        format!("/{}", segments.collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_so_with_all_below_it() {
        for path in ["/targets", "/targets/{entity}", "/targets/{entity}/upstream"] {
            assert!(!ADMIN.serves(&format!("{}{path}", ADMIN.base)), "{path}");
            assert!(
                PREFIXES[0].serves(&format!("{}{path}", PREFIXES[0].base)),
                "{path}"
            );
        }
        let nested = format!("{}/upstreams/{{entity}}/targets", ADMIN.base);
        assert!(ADMIN.serves(&nested));
    }

    #[test]
    fn a_path_is_named_from_its_prefix_on() {
        assert_eq!(
            ADMIN.relative("/groups/a%20b/admin/services/x/routes"),
            "/services/x/routes"
        );
        assert_eq!(
            PREFIXES[0].relative("/v2/runtime-groups/default/core-entities/tags"),
            "/tags"
        );
    }
}
