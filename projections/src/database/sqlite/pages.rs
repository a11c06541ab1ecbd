//! The proof that the file holds what was written into it. SQLite changes the database's own file at checkpoints only, and
//! only there: [`Pages::prepare`] notes beforehand what one is about to write, [`Pages::settle`] afterwards what it has written. So
//! every page can be compared with its digest at any time, before the file is opened ([`examine`]) and while it is used
//! ([`Pages::compare_some`]). What stands in the write-ahead log is protected by SQLite's own checksums.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::page_digests::{
    PAGE_BYTES, PageDigest, PageDigests, PageNumber, UNNOTED, beside, digest_of, read_next, remove_next,
    write_next,
};
use super::write_ahead_log::{Committed, CommittedFrames, committed};

/// How many pages are read at once.
const SOME_PAGES: PageNumber = 256;

/// The page that SQLite locks parts of and never uses.
const LOCK_PAGE: PageNumber = 0x4000_0000 / PAGE_BYTES as PageNumber + 1;

const PRIVATE: u32 = 0o600;

/// How a database that is to be opened was found.
pub(super) enum Found {
    /// There is none yet, or one whose making was cut short.
    Nothing,
    /// Each of its pages is what was written.
    Sound(Pages),
    /// It isn't what was written; why.
    Damaged(String),
}

/// The database's own file, and the digests of its pages. Whoever calls must hold the writing connection, so that no
/// checkpoint changes the file meanwhile.
#[derive(Debug)]
pub(super) struct Pages {
    database: PathBuf,
    /// Open as long as SQLite has it open: closing any handle of a file ends the locks that this process has on it.
    file: File,
    digests: PageDigests,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The write-ahead log.
    log: CommittedFrames,
    /// What a checkpoint writes or has written in part.
    next: Option<Committed>,
    /// How many pages had a digest before that.
    before: PageNumber,
    /// The last page that was compared in this round.
    compared: PageNumber,
    /// What was found.
    damage: Option<String>,
}

/// Looks at a database before anybody opens it, and changes nothing.
pub(super) fn examine(database: &Path) -> io::Result<Found> {
    let file = match File::open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    if bytes == 0 {
        return Ok(Found::Nothing);
    }
    let Some(digests) = PageDigests::open(database)? else {
        let path = beside(database, "-digests");
        return Ok(Found::Damaged(format!(
            "{} isn't there, or isn't what was written",
            path.display()
        )));
    };
    let recorded = digests.count()?;
    if recorded == 0 {
        return Ok(Found::Nothing);
    }
    let next = read_next(database)?;
    let log = committed(&beside(database, "-wal"))?;
    let redone = |next: &Committed, log: &Committed| log.salts == next.salts && log.frames >= next.frames;
    let will_be_redone = next
        .as_ref()
        .is_some_and(|next| log.as_ref().is_some_and(|log| redone(next, log)));
    let pages = Pages {
        database: database.to_owned(),
        file,
        digests,
        state: Mutex::new(State {
            next,
            before: recorded,
            ..State::default()
        }),
    };
    let damage = pages.length_is_wrong(bytes, recorded, will_be_redone);
    let damage = match damage {
        None => pages.compare_all(will_be_redone)?,
        damage => damage,
    };
    Ok(damage.map_or(Found::Sound(pages), Found::Damaged))
}

/// Makes way for a new database: what was being made is removed, and its digests are begun.
pub(super) fn begin(database: &Path) -> io::Result<Pages> {
    for path in [
        database.to_owned(),
        beside(database, "-wal"),
        beside(database, "-shm"),
    ] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    remove_next(database)?;
    let digests = PageDigests::create(database)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(PRIVATE);
    let file = options.open(database)?;
    Ok(Pages {
        database: database.to_owned(),
        file,
        digests,
        state: Mutex::default(),
    })
}

impl Pages {
    /// Leaves the file to its owner's eyes alone. SQLite makes the files beside it with the same permissions.
    pub(super) fn make_private(&self) -> io::Result<()> {
        self.file.set_permissions(fs::Permissions::from_mode(PRIVATE))
    }

    /// The file that was opened isn't the one that is there now.
    pub(super) fn is_lost(&self) -> io::Result<bool> {
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        let opened = identity(&self.file.metadata()?);
        match fs::metadata(&self.database) {
            Ok(there) => Ok(identity(&there) != opened),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// How long the write-ahead log is, in bytes.
    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(beside(&self.database, "-wal")).map_or(0, |log| log.len())
    }

    /// What was found to be damaged.
    pub(super) fn damage(&self) -> Option<String> {
        self.state().damage.clone()
    }

    /// Reads what was added to the write-ahead log, so that the next checkpoint needn't.
    pub(super) fn read_ahead(&self) -> io::Result<()> {
        self.state().log.read(&beside(&self.database, "-wal")).map(drop)
    }

    /// Before a checkpoint: notes what it is about to write. Says whether there is anything to write.
    pub(super) fn prepare(&self) -> io::Result<bool> {
        let mut state = self.state();
        // What an earlier one has written in part is told from what it hasn't before both are forgotten.
        self.note_written(&mut state)?;
        let Some(next) = state.log.read(&beside(&self.database, "-wal"))?.cloned() else {
            self.forget_next(&mut state)?;
            return Ok(false);
        };
        write_next(&self.database, &next)?;
        // After a checkpoint that wrote only a part, some of the pages since then still have none.
        if state.next.is_none() {
            state.before = self.digests.count()?;
        }
        state.next = Some(next);
        Ok(true)
    }

    /// After a checkpoint, which may have written only a part: notes what stands in the file now.
    pub(super) fn settle(&self, whole: bool) -> io::Result<()> {
        let mut state = self.state();
        if !whole {
            return self.note_written(&mut state);
        }
        self.note_meant(&mut state)?;
        self.forget_next(&mut state)
    }

    /// Everything that a checkpoint was about to write stands in the file.
    fn forget_next(&self, state: &mut State) -> io::Result<()> {
        if let Some(next) = state.next.take() {
            // SQLite may leave pages out that it doesn't use.
            for page in state.before + 1..=next.database_pages {
                if !next.pages.contains_key(&page) {
                    self.digests.write(page, &[self.digest_in_file(page)?])?;
                }
            }
            self.digests.finish(next.database_pages)?;
            remove_next(&self.database)?;
        }
        Ok(())
    }

    /// Takes the pages of a checkpoint that may have written only a part over from the file. Each must be what it was or what the checkpoint writes.
    fn note_written(&self, state: &mut State) -> io::Result<()> {
        let Some(next) = &state.next else { return Ok(()) };
        let recorded = self.digests.count()?;
        let there = pages_in(self.file.metadata()?.len());
        let mut damage = None;
        for (page, written) in &next.pages {
            if *page > there {
                continue;
            }
            let found = self.digest_in_file(*page)?;
            let before = match *page <= recorded {
                true => self.digests.read(*page, 1)?.pop(),
                false => None,
            };
            let is_new = before.is_none_or(|before| before == UNNOTED);
            if found != *written && is_new {
                // A hole: pages behind it were written, and it is when no reader is in the way any more.
                continue;
            }
            if found != *written && Some(found) != before {
                damage = Some(format!("its page {page} isn't what was written"));
            }
            self.digests.write(*page, &[found])?;
        }
        if let Some(damage) = damage {
            state.damage.get_or_insert(damage);
        }
        Ok(())
    }

    /// Notes the pages of a whole checkpoint as they were meant: nobody writes meanwhile, and what stands there is compared by and by.
    fn note_meant(&self, state: &mut State) -> io::Result<()> {
        let Some(next) = &state.next else { return Ok(()) };
        let there = pages_in(self.file.metadata()?.len());
        let pages: Vec<_> = next.pages.range(..=there).collect();
        for run in pages.chunk_by(|(page, _), (following, _)| **page + 1 == **following) {
            let digests: Vec<_> = run.iter().map(|(_, written)| **written).collect();
            self.digests.write(*run[0].0, &digests)?;
        }
        if let Some((page, _)) = next.pages.range(there + 1..).next() {
            let damage = format!("its page {page} is missing after it was written");
            state.damage.get_or_insert(damage);
        }
        Ok(())
    }

    /// Compares all pages.
    pub(super) fn compare_again(&self) -> io::Result<()> {
        self.state().compared = 0;
        self.compare_some(PageNumber::MAX)
    }

    /// Compares the next pages, and after the last the first again.
    pub(super) fn compare_some(&self, pages: PageNumber) -> io::Result<()> {
        let mut state = self.state();
        let last = self.digests.count()?;
        let first = state.compared + 1;
        let until = last.min(state.compared.saturating_add(pages));
        if let Some(damage) = self.compare(first..=until, state.next.as_ref(), true)? {
            state.damage.get_or_insert(damage);
        }
        state.compared = if until == last { 0 } else { until };
        Ok(())
    }

    /// `will_be_redone`: whether the write-ahead log still has all that a checkpoint was writing that didn't end.
    fn compare_all(&self, will_be_redone: bool) -> io::Result<Option<String>> {
        let state = self.state();
        let last = pages_in(self.file.metadata()?.len());
        self.compare(1..=last, state.next.as_ref(), will_be_redone)
    }

    /// A page must be what was noted of it; one that a checkpoint was writing may be that instead, and must be that if
    /// nothing will write it again.
    fn compare(
        &self,
        pages: RangeInclusive<PageNumber>,
        next: Option<&Committed>,
        will_be_redone: bool,
    ) -> io::Result<Option<String>> {
        let recorded = self.digests.count()?;
        let mut bytes = vec![0; SOME_PAGES as usize * PAGE_BYTES];
        let mut first = *pages.start();
        while first <= *pages.end() {
            let count = SOME_PAGES.min(pages.end() - first + 1);
            let bytes = &mut bytes[..count as usize * PAGE_BYTES];
            match self.file.read_exact_at(bytes, place(first)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(Some(format!("it ends before its page {}", first + count - 1)));
                }
                Err(error) => return Err(error),
            }
            let known = recorded.saturating_sub(first - 1).min(count);
            let noted = self.digests.read(first, known)?;
            for (index, content) in bytes.chunks_exact(PAGE_BYTES).enumerate() {
                let page = first + index as PageNumber;
                let found = digest_of(content);
                let written = next.and_then(|next| next.pages.get(&page));
                let noted = noted.get(index).filter(|noted| **noted != UNNOTED);
                let right = written == Some(&found)
                    || noted == Some(&found) && (written.is_none() || will_be_redone)
                    // New, and not written yet.
                    || noted.is_none() && next.is_some() && will_be_redone;
                if !right && page != LOCK_PAGE {
                    return Ok(Some(format!("its page {page} isn't what was written")));
                }
            }
            first += count;
        }
        Ok(None)
    }

    fn length_is_wrong(&self, bytes: u64, recorded: PageNumber, will_be_redone: bool) -> Option<String> {
        let there = pages_in(bytes);
        let written = self.state().next.as_ref().map(|next| next.database_pages);
        let right = match written {
            None => there == recorded,
            Some(written) if will_be_redone => {
                (recorded.min(written)..=recorded.max(written)).contains(&there)
            }
            Some(written) => there == written,
        };
        let whole = bytes == place(there + 1);
        (!right || !whole).then(|| format!("it has {bytes} bytes, that isn't what was written"))
    }

    fn digest_in_file(&self, page: PageNumber) -> io::Result<PageDigest> {
        let mut content = vec![0; PAGE_BYTES];
        self.file.read_exact_at(&mut content, place(page))?;
        Ok(digest_of(&content))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pages_in(bytes: u64) -> PageNumber {
    PageNumber::try_from(bytes / PAGE_BYTES as u64).unwrap_or(PageNumber::MAX)
}

/// Where a page begins.
fn place(page: PageNumber) -> u64 {
    u64::from(page - 1) * PAGE_BYTES as u64
}
