//! Pages in a SQLite file.

use std::collections::BTreeSet;
use std::fs;

use commands::keyring::{KeyPages, MasterKey, PageAddress, PageStore, SqliteKeyring, SqlitePages};
use domain::{Boundary, KeyId, Keyring};
use tempfile::TempDir;

use crate::suite::{Site, stores};

struct Sqlite(TempDir);

impl Site for Sqlite {
    type Store = SqlitePages;

    async fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn store(&self) -> SqlitePages {
        SqlitePages::open(&self.0.path().join("keys.db")).await.unwrap()
    }
}

stores!(Sqlite);

impl Sqlite {
    /// Whether any file of the keyring holds these bytes.
    fn holds(&self, bytes: &[u8]) -> bool {
        let files = fs::read_dir(self.0.path()).unwrap();
        files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .any(|content| content.windows(bytes.len()).any(|window| window == bytes))
    }
}

#[tokio::test]
async fn destroying_a_key_leaves_no_trace_of_its_page_on_the_disk() {
    let site = Sqlite::fresh().await;
    let keyring = SqliteKeyring::open(site.store().await, MasterKey::generate())
        .await
        .unwrap();
    let id = KeyId {
        boundary: Boundary::System,
        owner: None,
    };
    keyring.ensure(&BTreeSet::from([id])).await.unwrap();
    let address = PageAddress {
        boundary: Boundary::System,
        number: 0,
    };
    let before = keyring.export().await.unwrap();
    assert_eq!(before.len(), 1);
    assert!(site.holds(&before[0].1));
    keyring.destroy(&[id].into()).await.unwrap();
    assert!(!site.holds(&before[0].1));
    assert_eq!(site.store().await.addresses().await.unwrap(), [address]);
}
