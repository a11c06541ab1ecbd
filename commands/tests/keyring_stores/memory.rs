//! Pages in memory.

use commands::keyring::MemoryPages;

use crate::suite::{Site, stores};

struct Memory(MemoryPages);

impl Site for Memory {
    type Store = MemoryPages;

    async fn fresh() -> Self {
        Self(MemoryPages::default())
    }

    async fn store(&self) -> MemoryPages {
        self.0.clone()
    }
}

stores!(Memory);
