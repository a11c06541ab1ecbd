//! What entities are found by in the views: unique keys, tags and references, one kind of row for all three.

use domain::group::{Entity, UniqueKey};
use domain::keyring::{KeyNotLoaded, KeyState};
use domain::{Boundary, DataKeys, EntityId, GroupId, KeyId, Kind};

const UNIQUE: u8 = b'u';
const TAG: u8 = b't';
const REFERENCE: u8 = b'r';

/// How many bytes of a tag stand in its search key.
const LONGEST_TAG: usize = 1_024;

/// Everything an entity is found by.
pub(crate) fn all_of(
    entity: &Entity,
    group: GroupId,
    keys: &dyn DataKeys,
) -> Result<Vec<Vec<u8>>, KeyNotLoaded> {
    let hash_key = hash_key(group, keys)?;
    let unique = entity
        .unique
        .iter()
        .filter_map(|key| unique(*key, hash_key.as_ref()));
    let tags = entity.tags.iter().map(|name| tag(name));
    let references = entity.references.iter().map(|to| reference(to.kind, to.id));
    let mut all: Vec<_> = unique.chain(tags).chain(references).collect();
    // A tag may be given twice, and two foreign keys may refer to the same entity.
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The key under which a group's unique keys are hashed, so that names which are personal or secret can't be guessed
/// from the views; none once the group's data key is destroyed.
pub(crate) fn hash_key(group: GroupId, keys: &dyn DataKeys) -> Result<Option<[u8; 32]>, KeyNotLoaded> {
    let id = KeyId {
        boundary: Boundary::Group(group),
        owner: None,
    };
    Ok(match keys.data_key(id)? {
        KeyState::Present(key) => Some(blake3::derive_key("runtime-manager views: unique keys 1", &key.0)),
        KeyState::Destroyed => None,
    })
}

/// The search key of a unique key.
pub(crate) fn unique(key: UniqueKey, hash_key: Option<&[u8; 32]>) -> Option<Vec<u8>> {
    let hash = blake3::keyed_hash(hash_key?, &key.0);
    Some([&[UNIQUE], &hash.as_bytes()[..16]].concat())
}

/// The search key of a tag. Of a long one only the beginning stands there, and a digest behind a zero byte, which no tag
/// holds: an index of PostgreSQL takes no more than 2,704 bytes.
pub(crate) fn tag(name: &str) -> Vec<u8> {
    match name.as_bytes().split_at_checked(LONGEST_TAG) {
        Some((beginning, rest)) if !rest.is_empty() => {
            let digest = blake3::hash(name.as_bytes());
            [&[TAG], beginning, &[0], digest.as_bytes()].concat()
        }
        _ => [&[TAG], name.as_bytes()].concat(),
    }
}

/// Whether it is a tag's.
pub(crate) fn is_tag(search_key: &[u8]) -> bool {
    search_key.first() == Some(&TAG)
}

/// The tag of a search key; none if it is too long to stand there whole.
pub(crate) fn tag_of(search_key: &[u8]) -> Option<&str> {
    let name = search_key.strip_prefix(&[TAG])?;
    std::str::from_utf8(name).ok().filter(|name| !name.contains('\0'))
}

/// The first search key after those of tags.
pub(crate) const fn after_tags() -> [u8; 1] {
    [TAG + 1]
}

/// The search key of what refers to an entity.
pub(crate) fn reference(kind: Kind, id: EntityId) -> Vec<u8> {
    [&[REFERENCE], id.0.as_bytes().as_slice(), kind.name().as_bytes()].concat()
}

/// Whether a change of these fields changes what an entity of this kind is found by.
pub(crate) fn affected_by(kind: Kind, changed: &[String]) -> bool {
    let schema = kind.schema();
    let indexed = |field: &String| {
        (schema.tagged && field == "tags")
            || schema
                .unique
                .iter()
                .any(|rule| rule.fields.iter().any(|name| name == field))
            || schema.foreign_keys.iter().any(|key| key.field == field)
    };
    changed.iter().any(indexed)
}
