//! The keyring's seam and the sealing of secrets (DESIGN §4): XChaCha20-Poly1305 under one data key per boundary and
//! one per consumer, each wrapped by the master key where it is stored.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Boundary;

/// Which data key: a boundary's own, or that of one owner (a consumer) within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId {
    /// Where the key is used.
    pub boundary: Boundary,
    /// The consumer whose data it seals; `None` for the boundary's own.
    pub owner: Option<Uuid>,
}

/// A 256-bit data key; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey(pub [u8; 32]);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("{redacted}")
    }
}

/// What the keyring knows of a key.
#[derive(Clone, Debug)]
pub enum KeyState {
    /// Here it is.
    Present(DataKey),
    /// Destroyed: what it sealed is erased for ever.
    Destroyed,
}

/// A key that isn't loaded (yet): [`Keyring::load`] it and try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data key {0:?} isn't loaded")]
pub struct KeyNotLoaded(pub KeyId);

/// The loaded keys, for encoding and decoding; never waits.
pub trait DataKeys: Send + Sync {
    /// The key, its destruction, or that it must be loaded first.
    fn data_key(&self, id: KeyId) -> Result<KeyState, KeyNotLoaded>;
}

/// Why the keyring failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// For the moment; try again.
    #[error("the keyring can't be reached: {0}")]
    Unavailable(String),
    /// The keyring lacks a key that the log needs.
    #[error("the keyring has no key {0:?}: restore the keyring that belongs to this log")]
    Missing(KeyId),
    /// The master key doesn't open the keyring.
    #[error("the master key doesn't open this keyring: {0}")]
    WrongMasterKey(String),
    /// The stored form can't be read.
    #[error("the keyring is damaged: {0}")]
    Damaged(String),
}

/// Stores data keys durably, wrapped by the master key.
#[async_trait]
pub trait Keyring: DataKeys + 'static {
    /// Makes sure that all these keys exist, are durable and loaded. Called before the commit that needs them.
    async fn ensure(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError>;

    /// Loads existing keys (perhaps made by another process).
    async fn load(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError>;

    /// Destroys keys for ever: whatever they sealed is erased, and no former content of the store opens it. What is
    /// destroyed already stays so; where a crash left a former content, it goes now.
    async fn destroy(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError>;

    /// Destroys every key of a boundary for ever, in one go: purging a deleted group.
    async fn destroy_boundary(&self, boundary: Boundary) -> Result<(), KeyringError>;
}

/// Seals a plain text under a data key. The nonce is derived from key, place and text, so encoding needs no
/// randomness and the same commit encodes to the same bytes at every retry.
pub fn seal(key: &DataKey, place: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher
        .update(b"runtime-manager nonce 1")
        .update(&(place.len() as u64).to_le_bytes())
        .update(place)
        .update(plain);
    let mut nonce = [0; 24];
    hasher.finalize_xof().fill(&mut nonce);
    let cipher = XChaCha20Poly1305::new((&key.0).into());
    let sealed = cipher
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: plain,
                aad: place,
            },
        )
        .expect("XChaCha20-Poly1305 encrypts any text below 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`seal`] made for the same place; `None` if key, place or text don't fit.
pub fn open(key: &DataKey, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_at_checked(24)?;
    let cipher = XChaCha20Poly1305::new((&key.0).into());
    let nonce = <[u8; 24]>::try_from(nonce).ok()?;
    cipher
        .decrypt(
            &XNonce::from(nonce),
            Payload {
                msg: text,
                aad: place,
            },
        )
        .ok()
}
