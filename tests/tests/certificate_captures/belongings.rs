//! What the two admins have, and what each makes of what the other has: certificates are public, keys aren't.

use tests::data_plane::{Authority, Pair};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    One,
    Other,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::One, Self::Other];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::One => Self::Other,
            Self::Other => Self::One,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Other => "other",
        }
    }
}

/// A certificate, and whose its key is; the key of the built-in CA is nobody's.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) pair: Pair,
    pub(crate) keyholder: Option<Side>,
}

/// What one of them has.
pub(crate) struct Belongings {
    /// What it could add.
    certificates: Vec<Pair>,
    /// The authorities among them.
    authorities: Vec<Pair>,
    /// What its instances show.
    pub(crate) instances: Vec<Pair>,
    root: Authority,
}

impl Belongings {
    fn of(side: Side) -> Self {
        let (own, others) = (side.name(), side.other().name());
        let root = Authority::named(&format!("{own} root"));
        let between = root.below(&format!("{own} between"));
        // It is called like the other's.
        let masked = Authority::named(&format!("{others} root"));
        let (near, far) = (root.issue("near", false), between.issue("far", true));
        let (old, below_masked) = (root.issue_version_1("old"), masked.issue("near", false));
        let alone = Pair::of(&format!("{own} alone"));
        let swapped = root.issue_for_the_key_of("near", &far);
        let authorities = vec![root.pair(), root.renewed(), between.pair(), masked.pair()];
        let instances = vec![near, far, old, alone, swapped, below_masked];
        Self {
            certificates: authorities.iter().chain(&instances).cloned().collect(),
            authorities,
            instances,
            root,
        }
    }

    pub(crate) fn of_both() -> [Self; 2] {
        Side::BOTH.map(Self::of)
    }
}

/// Every certificate that either could lay its hands on; the built-in CA's is known to everybody.
pub(crate) fn everything(belongings: &[Belongings; 2], built_in: &str) -> Vec<Known> {
    let built_in = Pair {
        certificate: built_in.to_owned(),
        key: String::new(),
    };
    let mut known = copies(&built_in, None);
    for (side, own) in Side::BOTH.into_iter().zip(belongings) {
        let forger = &belongings[side.other() as usize].root;
        for pair in &own.certificates {
            known.extend(copies(pair, Some(side)));
            known.push(Known {
                pair: forger.issue_for_the_key_of("forged", pair),
                keyholder: Some(side),
            });
        }
        for pair in &own.authorities {
            known.push(Known {
                pair: crossed(forger, pair),
                keyholder: Some(side),
            });
        }
        known.push(Known {
            pair: crossed(forger, &built_in),
            keyholder: None,
        });
    }
    known
}

/// A certificate as it is, and with another signature.
fn copies(pair: &Pair, keyholder: Option<Side>) -> Vec<Known> {
    let altered = Pair {
        certificate: pair.altered(),
        key: pair.key.clone(),
    };
    let copies = [pair.clone(), altered].into_iter();
    copies.map(|pair| Known { pair, keyholder }).collect()
}

fn crossed(forger: &Authority, pair: &Pair) -> Pair {
    Pair {
        certificate: forger.crossing(&pair.der()),
        key: pair.key.clone(),
    }
}
