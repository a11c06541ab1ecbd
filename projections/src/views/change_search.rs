//! Finding changes: what several filters have in common is looked for block by block, the newest first, in a bounded
//! number of rows; who wants more goes on where the search stopped.

use std::collections::VecDeque;

use domain::{Boundary, EntityId, GroupId, Kind, Version};
use uuid::Uuid;

use super::entity_history::touching;
use super::{Views, limit};
use crate::change_terms::{Block, Term, words};
use crate::error::ViewError;
use crate::search_key;

const BLOCKS: &str = "SELECT block, versions FROM change_term
    WHERE generation = $1 AND boundary = $2 AND term = $3 AND block <= $4 AND block >= $5 ORDER BY block DESC LIMIT $6";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BLOCKS];

/// How many blocks are read at once.
const BLOCKS_AT_ONCE: usize = 256;

/// How many of an entity's rows are read at once: more than those of two whole blocks.
const TOUCHES_AT_ONCE: usize = 600;

/// After how many rows a search ends, wherever it is.
const LONGEST_SEARCH: usize = 4_096;

/// Which changes a history has: those that satisfy everything that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Made by this actor: a label such as `token:ci`, or a token's id.
    pub actor: Option<String>,
    /// Touched something of this kind, by its name in event summaries.
    pub kind: Option<String>,
    /// Touched this: a kind's name and an id.
    pub touched: Option<(String, Uuid)>,
    /// Touched entities that had these tags, before or after.
    pub tags: Vec<String>,
    /// The reason has all words of this text.
    pub message: Option<String>,
    /// This version or a later one.
    pub since: Option<Version>,
    /// This version or an earlier one.
    pub until: Option<Version>,
}

impl ChangeFilter {
    /// The versions among which changes are looked for: from the first up to but without the second.
    pub(super) fn range(&self, before: Option<Version>) -> (Version, Version) {
        let end = self.until.map_or(Version::MAX, |until| until.saturating_add(1));
        let end = end
            .min(before.unwrap_or(Version::MAX))
            .min(i64::MAX.cast_unsigned());
        (self.since.unwrap_or(1).max(1), end)
    }

    fn sources(&self, boundary: Boundary) -> Vec<Source> {
        let mut terms = Vec::new();
        terms.extend(self.actor.as_deref().map(Term::actor));
        terms.extend(self.kind.as_deref().map(Term::kind));
        terms.extend(self.tags.iter().map(|tag| Term::tag(&search_key::tag(tag))));
        terms.extend(
            self.message
                .iter()
                .flat_map(|text| words(text))
                .map(|word| Term::word(&word)),
        );
        let mut sources = Vec::new();
        if let Some((kind, id)) = &self.touched {
            match (boundary, Kind::named(kind)) {
                (Boundary::Group(group), Some(kind)) => {
                    sources.push(Source::of(What::Entity(group, kind, EntityId(*id))));
                }
                _ => terms.push(Term::thing(kind, *id)),
            }
        }
        sources.extend(terms.into_iter().map(|term| Source::of(What::Term(term))));
        sources
    }
}

/// What a search found.
#[derive(Default)]
pub(super) struct Found {
    /// The newest first.
    pub(super) versions: Vec<Version>,
    /// Before which version to go on; none if there are no more.
    pub(super) next: Option<Version>,
}

impl Views {
    /// The versions that satisfy a filter within a range of versions, which isn't empty; none if it asks for nothing but a range.
    pub(super) async fn search(
        &self,
        generation: i64,
        boundary: Boundary,
        filter: &ChangeFilter,
        (first, end): (Version, Version),
        size: usize,
    ) -> Result<Option<Found>, ViewError> {
        let sources = filter.sources(boundary);
        if sources.is_empty() {
            return Ok(None);
        }
        let search = Search {
            views: self,
            generation,
            boundary,
            lowest: Block::number(first),
            read: 0,
        };
        search.run(sources, (first, end), size).await.map(Some)
    }
}

impl Views {
    /// The newest change before a version that has a term.
    pub(super) async fn newest_with(
        &self,
        generation: i64,
        boundary: Boundary,
        term: Term,
        before: Version,
    ) -> Result<Option<Version>, ViewError> {
        let end = before.min(i64::MAX.cast_unsigned());
        let search = Search {
            views: self,
            generation,
            boundary,
            lowest: 0,
            read: 0,
        };
        let found = search.run(vec![Source::of(What::Term(term))], (1, end), 1);
        Ok(found.await?.versions.first().copied())
    }
}

struct Search<'v> {
    views: &'v Views,
    generation: i64,
    boundary: Boundary,
    /// The number of the last block that matters.
    lowest: i64,
    /// How many rows it has read.
    read: usize,
}

impl Search<'_> {
    async fn run(
        mut self,
        mut sources: Vec<Source>,
        (first, end): (Version, Version),
        size: usize,
    ) -> Result<Found, ViewError> {
        let mut found = Found::default();
        let mut number = Block::number(end - 1);
        while number >= self.lowest {
            let Some((common, block)) = self.common_block(&mut sources, number).await? else {
                return Ok(found);
            };
            let within = |version: &Version| (first..end).contains(version);
            for version in block.versions(common).filter(within) {
                if found.versions.len() == size {
                    found.next = found.versions.last().copied();
                    return Ok(found);
                }
                found.versions.push(version);
            }
            number = common - 1;
            if self.read >= LONGEST_SEARCH && number >= self.lowest {
                found.next = Some(common.cast_unsigned() << 8);
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// The newest block up to a number that every source has, and what they have in common there. It gives up on
    /// looking for one with something in common when it has read enough.
    async fn common_block(
        &mut self,
        sources: &mut [Source],
        mut number: i64,
    ) -> Result<Option<(i64, Block)>, ViewError> {
        let mut common: Option<Block> = None;
        let mut agreed = 0;
        while agreed < sources.len() {
            let Some((found, block)) = self.newest_block(&mut sources[agreed], number).await? else {
                return Ok(None);
            };
            if found < number {
                (number, common, agreed) = (found, None, 0);
                // What is empty here is still a place to go on from.
                if self.read >= LONGEST_SEARCH {
                    return Ok(Some((number + 1, Block::default())));
                }
                continue;
            }
            common = Some(common.map_or(block, |common| common.and(block)));
            agreed += 1;
        }
        Ok(common.map(|common| (number, common)))
    }

    async fn newest_block(
        &mut self,
        source: &mut Source,
        number: i64,
    ) -> Result<Option<(i64, Block)>, ViewError> {
        loop {
            while let Some(newest) = source.blocks.front() {
                if newest.0 <= number {
                    return Ok(Some(*newest));
                }
                source.blocks.pop_front();
            }
            if source.exhausted || number < self.lowest {
                return Ok(None);
            }
            match source.what {
                What::Term(term) => self.read_blocks(source, term, number).await?,
                What::Entity(group, kind, id) => self.read_touches(source, (group, kind, id), number).await?,
            }
        }
    }

    async fn read_blocks(&mut self, source: &mut Source, term: Term, number: i64) -> Result<(), ViewError> {
        let arguments = [
            self.generation.into(),
            self.boundary.subject().into(),
            (&term.0).into(),
            number.into(),
            self.lowest.into(),
            limit(BLOCKS_AT_ONCE).into(),
        ];
        let rows = self.views.database().fetch_all(BLOCKS, arguments).await?;
        self.read += rows.len();
        source.exhausted = rows.len() < BLOCKS_AT_ONCE;
        for row in &rows {
            let damaged = || ViewError::damaged("a block of changes can't be read");
            let block = Block::read(row.get(1)?).ok_or_else(damaged)?;
            source.blocks.push_back((row.get(0)?, block));
        }
        Ok(())
    }

    async fn read_touches(
        &mut self,
        source: &mut Source,
        (group, kind, id): (GroupId, Kind, EntityId),
        number: i64,
    ) -> Result<(), ViewError> {
        let end = (number + 1).cast_unsigned() << 8;
        let validities = self
            .views
            .validities(self.generation, group, kind, id, end, TOUCHES_AT_ONCE)
            .await?;
        self.read += validities.len();
        source.exhausted = validities.len() < TOUCHES_AT_ONCE;
        for version in touching(&validities, end) {
            let number = Block::number(version);
            match source.blocks.back_mut() {
                Some((last, block)) if *last == number => block.insert(version),
                _ => {
                    let mut block = Block::default();
                    block.insert(version);
                    source.blocks.push_back((number, block));
                }
            }
        }
        // More of the last block may follow; the one before it is whole.
        if !source.exhausted {
            source.blocks.pop_back();
        }
        Ok(())
    }
}

/// One thing that changes must have, and where the search stands in it.
struct Source {
    what: What,
    /// What was read and not passed yet, the newest first.
    blocks: VecDeque<(i64, Block)>,
    /// Whether nothing is left to be read.
    exhausted: bool,
}

#[derive(Clone, Copy)]
enum What {
    Term(Term),
    Entity(GroupId, Kind, EntityId),
}

impl Source {
    const fn of(what: What) -> Self {
        Self {
            what,
            blocks: VecDeque::new(),
            exhausted: false,
        }
    }
}
