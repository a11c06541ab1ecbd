//! An instance's copy of its group's configuration: pure, so that a load program can run a thousand of them over one
//! shared base (the maps are persistent, a clone shares them).

use std::fmt;
use std::sync::Arc;

use domain::{Digest, EntityId, GroupId, Kind, SnapshotDigest, Timestamp};
use imbl::OrdMap;
use uuid::Uuid;

use crate::native::frames::{Applied, Delta, EntityKey, EntityRecord, InstanceFrame, ServerFrame, Snapshot};

/// Which group of which installation a configuration is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The log's identity.
    pub log: Uuid,
    /// The group.
    pub group: GroupId,
}

/// An update that wasn't applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The update doesn't fit what is here: a snapshot is needed.
    OutOfStep(String),
    /// The configuration can't be used; what was before stays.
    Unusable(Applied, String),
}

/// A verified configuration.
#[derive(Clone, Default)]
pub struct Replica {
    origin: Option<Origin>,
    applied: Option<Applied>,
    at: Timestamp,
    entities: OrdMap<(Kind, EntityId), Arc<str>>,
    hashes: SnapshotDigest,
}

impl fmt::Debug for Replica {
    /// Never the entities: they may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Replica({:?}, {} entities)", self.applied, self.len())
    }
}

impl Replica {
    /// A copy of nothing, of this group.
    pub fn of(origin: Origin) -> Self {
        Self {
            origin: Some(origin),
            ..Self::default()
        }
    }

    /// Which group's configuration it is, once that is known.
    pub const fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// The verified version; none while nothing, or nothing that can be trusted, is here.
    pub const fn applied(&self) -> Option<Applied> {
        self.applied
    }

    /// The version's time.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Every entity with its canonical body, each kind after those it refers to, then by id.
    pub fn entities(&self) -> impl Iterator<Item = (Kind, EntityId, &Arc<str>)> {
        self.entities.iter().map(|((kind, id), body)| (*kind, *id, body))
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there is no entity.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Takes a whole frame of the control plane; answers what to say to it, if anything.
    pub fn answer(&mut self, frame: &ServerFrame) -> Option<InstanceFrame> {
        let answer = match frame {
            ServerFrame::Welcome { log, group, .. } => {
                self.origin = Some(Origin {
                    log: *log,
                    group: *group,
                });
                return None;
            }
            ServerFrame::Snapshot(snapshot) => self.replace(snapshot),
            ServerFrame::Delta(delta) => self.advance(delta),
            ServerFrame::Part { .. } | ServerFrame::Pong {} | ServerFrame::GoingAway { .. } => return None,
        };
        Some(match answer {
            Ok(applied) => InstanceFrame::Ack(applied),
            Err(rejected) => rejected.frame(),
        })
    }

    /// Takes a snapshot in the place of what is here.
    pub fn replace(&mut self, snapshot: &Snapshot) -> Result<Applied, Rejected> {
        let applied = Applied {
            version: snapshot.version,
            digest: snapshot.digest,
        };
        let mut replacement = Self {
            origin: self.origin,
            applied: Some(applied),
            at: snapshot.at,
            ..Self::default()
        };
        let kinds = kinds(snapshot.entities.iter().map(|record| &record.kind), applied)?;
        for (record, kind) in snapshot.entities.iter().zip(kinds) {
            replacement.put(kind, record);
        }
        replacement.verify(snapshot.digest)?;
        *self = replacement;
        Ok(applied)
    }

    /// Takes the step to a later version. What doesn't lead to the promised digest leaves a copy that can't be built
    /// upon: `applied` is none until a snapshot comes.
    pub fn advance(&mut self, delta: &Delta) -> Result<Applied, Rejected> {
        let here = self.applied.map(|applied| applied.version);
        if here != Some(delta.from) {
            return Err(Rejected::OutOfStep(format!(
                "the change from version {} was sent to an instance at {here:?}",
                delta.from
            )));
        }
        let applied = Applied {
            version: delta.to,
            digest: delta.digest,
        };
        let put = kinds(delta.upserts.iter().map(|record| &record.kind), applied)?;
        let gone = kinds(delta.deletes.iter().map(|key| &key.kind), applied)?;
        for (record, kind) in delta.upserts.iter().zip(put) {
            self.put(kind, record);
        }
        for (EntityKey { id, .. }, kind) in delta.deletes.iter().zip(gone) {
            self.entities.remove(&(kind, *id));
            self.hashes.remove(kind, *id);
        }
        self.applied = None;
        self.verify(delta.digest)?;
        self.applied = Some(applied);
        self.at = delta.at;
        Ok(applied)
    }

    /// The whole configuration as a frame, for the disk.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let Applied { version, digest } = self.applied?;
        let record = |(kind, id, body): (Kind, EntityId, &Arc<str>)| EntityRecord {
            kind: kind.name().into(),
            id,
            body: body.clone(),
        };
        Some(Snapshot {
            version,
            at: self.at,
            digest,
            entities: self.entities().map(record).collect(),
        })
    }

    fn put(&mut self, kind: Kind, record: &EntityRecord) {
        self.hashes.put(kind, record.id, &record.body);
        self.entities.insert((kind, record.id), record.body.clone());
    }

    fn verify(&mut self, promised: Digest) -> Result<(), Rejected> {
        let found = self.hashes.digest();
        if found == promised {
            return Ok(());
        }
        Err(Rejected::OutOfStep(format!(
            "the configuration's digest is {found}, not {promised} as promised"
        )))
    }
}

impl Rejected {
    /// What to say to the control plane.
    pub fn frame(self) -> InstanceFrame {
        match self {
            Self::OutOfStep(reason) => InstanceFrame::Refetch { reason },
            Self::Unusable(Applied { version, digest }, reason) => InstanceFrame::Nack {
                version,
                digest,
                reason,
            },
        }
    }
}

fn kinds<'names>(
    names: impl Iterator<Item = &'names Arc<str>>,
    applied: Applied,
) -> Result<Vec<Kind>, Rejected> {
    let mut last: Option<Kind> = None;
    let mut known = |name: &Arc<str>| {
        // Entities come sorted by kind, so the last one is nearly always the next.
        let kind = last
            .filter(|kind| kind.name() == name.as_ref())
            .or_else(|| Kind::named(name));
        last = kind;
        kind.ok_or_else(|| {
            let reason = format!(
                "this agent doesn't know entities of kind {name}: update it to the control plane's version"
            );
            Rejected::Unusable(applied, reason)
        })
    };
    names.map(&mut known).collect()
}
