//! What changes are found by in the history: who made them, what they touched, the words of their reasons.
//!
//! A term's changes are kept in blocks of 256 versions, a bit each: what many changes have in common costs one row for
//! all of them, and what two terms have in common is found block by block.

use std::collections::{HashMap, HashSet};

use domain::{Actor, Boundary, GroupId, Version};
use uuid::Uuid;

use crate::recorded::Recorded;
use crate::search_key;
use crate::summary::EventSummary;

/// Something that changes are found by. A hash, so that a long word costs no more than a short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Term(pub(crate) [u8; 16]);

impl Term {
    fn of(what: u8, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[what]);
        for part in parts {
            hasher.update(part).update(&[0]);
        }
        let mut term = [0; 16];
        hasher.finalize_xof().fill(&mut term);
        Self(term)
    }

    /// Who made it: a label such as `token:ci`, or a token's id.
    pub(crate) fn actor(name: &str) -> Self {
        Self::of(b'a', &[name.as_bytes()])
    }

    /// It touched something of a kind.
    pub(crate) fn kind(kind: &str) -> Self {
        Self::of(b'k', &[kind.as_bytes()])
    }

    /// It touched this. A group's entities aren't found by it: their rows tell when they changed.
    pub(crate) fn thing(kind: &str, id: Uuid) -> Self {
        Self::of(b'i', &[kind.as_bytes(), id.as_bytes()])
    }

    /// It touched something of this name, of whatever id.
    pub(crate) fn name(kind: &str, name: &str) -> Self {
        Self::of(b'n', &[kind.as_bytes(), name.as_bytes()])
    }

    /// It admitted this instance: there its host name stands.
    pub(crate) fn admission(node: Uuid) -> Self {
        Self::of(b'h', &[node.as_bytes()])
    }

    /// It touched something with the tag of this search key, before or after.
    pub(crate) fn tag(search_key: &[u8]) -> Self {
        Self::of(b't', &[search_key])
    }

    /// Its reason has this word.
    pub(crate) fn word(word: &str) -> Self {
        Self::of(b'w', &[word.as_bytes()])
    }
}

/// The words of a text as they are looked for: in lower case, without what stands between them.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// What every change is found by: actor, kinds and words.
pub(crate) fn of_change(actor: &Actor, reason: Option<&str>, events: &[EventSummary]) -> HashSet<Term> {
    let mut terms = HashSet::from([Term::actor(&actor.label())]);
    if let Actor::Token { id, .. } = actor {
        terms.insert(Term::actor(&id.to_string()));
    }
    let kinds: HashSet<_> = events.iter().filter_map(|event| event.kind.as_deref()).collect();
    terms.extend(kinds.into_iter().map(Term::kind));
    terms.extend(reason.into_iter().flat_map(words).map(|word| Term::word(&word)));
    terms
}

/// What the changes of things are found by that have no rows of their own in time.
pub(crate) fn of_things(events: &[EventSummary]) -> impl Iterator<Item = Term> {
    events.iter().flat_map(|event| {
        let kind = event.kind.as_deref().unwrap_or_default();
        let thing = event.id.map(|id| Term::thing(kind, id));
        let name = event.name.as_deref().map(|name| Term::name(kind, name));
        let admits = matches!(event.recorded.as_deref(), Some(Recorded::Admission { .. }));
        let admission = event.id.filter(|_| admits).map(Term::admission);
        thing.into_iter().chain(name).chain(admission)
    })
}

/// What changes of entities with these tags are found by.
pub(crate) fn of_tags<'tag>(tags: impl Iterator<Item = &'tag str>) -> HashSet<Term> {
    let tags: HashSet<_> = tags.collect();
    tags.into_iter()
        .map(|tag| Term::tag(&search_key::tag(tag)))
        .collect()
}

/// Which of 256 consecutive versions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block([u64; 4]);

impl Block {
    /// The block a version stands in.
    pub(crate) const fn number(version: Version) -> i64 {
        (version >> 8).cast_signed()
    }

    /// Takes a version in.
    pub(crate) const fn insert(&mut self, version: Version) {
        self.0[(version >> 6 & 3) as usize] |= 1 << (version & 63);
    }

    /// What both have.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|part| self.0[part] & other.0[part]))
    }

    /// The versions, if this is the block of that number; the newest first.
    pub(crate) fn versions(self, number: i64) -> impl Iterator<Item = Version> {
        let first = number.cast_unsigned() << 8;
        (0..256)
            .rev()
            .filter(move |offset| self.0[offset / 64] >> (offset % 64) & 1 == 1)
            .map(move |offset| first + offset as Version)
    }

    /// As a row has it: two hexadecimal digits for each version.
    pub(crate) fn text(self) -> String {
        let mut text = String::new();
        for version in self.versions(0) {
            text.extend([version >> 4, version & 15].map(|digit| char::from(DIGITS[digit as usize])));
        }
        text
    }

    /// What a row has; a version may stand there twice. None if it isn't such a text.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut block = Self::default();
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        for [high, low] in pairs {
            let digit = |letter: &u8| char::from(*letter).to_digit(16);
            block.insert(Version::from(digit(high)? << 4 | digit(low)?));
        }
        rest.is_empty().then_some(block)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Terms and the changes that have them.
#[derive(Default)]
pub(crate) struct Postings(HashMap<(Boundary, Term, i64), Block>);

impl Postings {
    /// Notes that a change has a term.
    pub(crate) fn add(&mut self, boundary: Boundary, term: Term, version: Version) {
        let key = (boundary, term, Block::number(version));
        self.0.entry(key).or_default().insert(version);
    }

    /// Notes that a change ended this search key of one of a group's entities, if it is a tag's.
    pub(crate) fn add_tag(&mut self, group: GroupId, search_key: &[u8], version: Version) {
        if search_key::is_tag(search_key) {
            self.add(Boundary::Group(group), Term::tag(search_key), version);
        }
    }

    /// The rows in the order of their key: boundary, term, block's number, versions.
    pub(crate) fn rows(&self) -> Vec<(Boundary, Term, i64, Block)> {
        let mut rows: Vec<_> = self
            .0
            .iter()
            .map(|((boundary, term, number), block)| (*boundary, *term, *number, *block))
            .collect();
        rows.sort_unstable_by_key(|(boundary, term, number, _)| (*boundary, *term, *number));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_back_what_it_was_written_from() {
        let mut block = Block::default();
        let versions = [512, 513, 575, 576, 700, 767];
        versions.iter().for_each(|version| block.insert(*version));
        assert_eq!(Block::read(&block.text()), Some(block));
        assert_eq!(Block::read(&(block.text() + "00")), Some(block));
        let mut newest_first = versions;
        newest_first.reverse();
        assert_eq!(
            block.versions(Block::number(700)).collect::<Vec<_>>(),
            newest_first
        );
        assert_eq!(Block::read("0"), None);
        assert_eq!(Block::read("zz"), None);
    }

    #[test]
    fn words_are_what_stands_between_spaces_and_signs() {
        let found: Vec<_> = words("Fix #12: Überfällige-Route, fix!").collect();
        assert_eq!(found, ["fix", "12", "überfällige", "route", "fix"]);
    }
}
