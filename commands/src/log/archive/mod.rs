//! `log export` and `log import` (DESIGN §5): every record in position order and the sealed pages of the keyring, in
//! one file that says whether it is whole. It is the backup, and the way from one engine to another.
//!
//! [`frame`] is the file's form, [`export`] writes it, [`import`] reads it into a log that is empty or holds a prefix.

mod export;
mod frame;
mod import;

pub use export::{ExportError, Exported, export};
pub use frame::FrameError;
pub use import::{ImportError, Imported, import};

use domain::Position;

/// How far an export or import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last record that is done.
    pub position: Position,
    /// The last record there will be, as far as is known.
    pub last: Position,
}
