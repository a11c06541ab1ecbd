//! A page of data keys: up to 1,000 of one boundary, sealed as one text.

use domain::keyring::{DataKey, KeyState};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::page_store::PageAddress;

/// How many keys a page has at most: a page is written whole, so it must stay small.
pub(super) const PAGE_KEYS: usize = 1_000;

/// The first byte of an opened page.
const FORMAT: u8 = 1;

/// One entry: whether it has an owner, the owner, whether it is present, the key.
const ENTRY_BYTES: usize = 1 + 16 + 1 + 32;

/// The keys of a page in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<(Option<Uuid>, KeyState)>,
}

impl Page {
    /// Whether no further key fits.
    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= PAGE_KEYS
    }

    /// What is known of an owner's key, if it is on this page.
    pub(super) fn entry(&mut self, owner: Option<Uuid>) -> Option<&mut KeyState> {
        self.entries
            .iter_mut()
            .find(|(other, _)| *other == owner)
            .map(|(_, state)| state)
    }

    /// The page under the master key, for its own place only.
    pub(super) fn seal(&self, master: &MasterKey, address: PageAddress) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(1 + self.entries.len() * ENTRY_BYTES));
        plain.push(FORMAT);
        for (owner, state) in &self.entries {
            plain.push(u8::from(owner.is_some()));
            plain.extend_from_slice(owner.unwrap_or_default().as_bytes());
            match state {
                KeyState::Present(key) => {
                    plain.push(1);
                    plain.extend_from_slice(&key.0);
                }
                KeyState::Destroyed => plain.extend_from_slice(&[0; 33]),
            }
        }
        master.seal(&place(address), &plain)
    }

    /// Opens what [`Self::seal`] made for this place; `None` if key, place or form don't fit.
    pub(super) fn open(master: &MasterKey, address: PageAddress, sealed: &[u8]) -> Option<Self> {
        let plain = master.open(&place(address), sealed)?;
        let (&FORMAT, entries) = plain.split_first()? else {
            return None;
        };
        let entries = entries
            .chunks(ENTRY_BYTES)
            .map(read_entry)
            .collect::<Option<_>>()?;
        Some(Self { entries })
    }
}

fn read_entry(bytes: &[u8]) -> Option<(Option<Uuid>, KeyState)> {
    let (owner, state) = bytes.split_at_checked(17)?;
    let uuid = Uuid::from_slice(owner.get(1..)?).ok()?;
    let owner = (*owner.first()? == 1).then_some(uuid);
    let (present, key) = state.split_first()?;
    let key = DataKey(key.try_into().ok()?);
    Some((
        owner,
        if *present == 1 {
            KeyState::Present(key)
        } else {
            KeyState::Destroyed
        },
    ))
}

fn place(address: PageAddress) -> Vec<u8> {
    format!("runtime-manager page {} {}", address.boundary, address.number).into_bytes()
}

#[cfg(test)]
mod tests {
    use domain::Boundary;

    use super::*;

    const ADDRESS: PageAddress = PageAddress {
        boundary: Boundary::System,
        number: 3,
    };

    #[test]
    fn a_page_comes_back_as_it_was_sealed() {
        let master = MasterKey::generate();
        let page = Page {
            entries: vec![
                (None, KeyState::Present(DataKey([7; 32]))),
                (Some(Uuid::from_u128(9)), KeyState::Destroyed),
                (Some(Uuid::nil()), KeyState::Present(DataKey([8; 32]))),
            ],
        };
        let mut opened = Page::open(&master, ADDRESS, &page.seal(&master, ADDRESS)).unwrap();
        assert_eq!(opened.entries.len(), 3);
        assert!(matches!(opened.entry(None), Some(KeyState::Present(key)) if key.0 == [7; 32]));
        assert!(matches!(
            opened.entry(Some(Uuid::from_u128(9))),
            Some(KeyState::Destroyed)
        ));
        assert!(matches!(opened.entry(Some(Uuid::nil())), Some(KeyState::Present(key)) if key.0 == [8; 32]));
        assert!(opened.entry(Some(Uuid::from_u128(1))).is_none());
    }

    #[test]
    fn a_page_moved_to_another_place_does_not_open() {
        let master = MasterKey::generate();
        let sealed = Page::default().seal(&master, ADDRESS);
        assert!(Page::open(&master, PageAddress { number: 4, ..ADDRESS }, &sealed).is_none());
        assert!(Page::open(&MasterKey::generate(), ADDRESS, &sealed).is_none());
    }
}
