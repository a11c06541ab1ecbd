//! A payload's bytes: changes as named MessagePack, compressed above a size. They are written and read event by event, so that
//! a change of a hundred thousand entities is never held a second time in between.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use zstd::stream::{read::Decoder, write::Encoder};

use super::{DecodeError, EventCodec, EventRecord};
use crate::keyring::KeyNotLoaded;
use crate::{Actor, Boundary, Change, DataKeys, Idempotency, Timestamp, Version};

/// Payloads above this many bytes are compressed.
const COMPRESS_ABOVE: usize = 4 * 1024;
const ZSTD_LEVEL: i32 = 1;
/// The largest payload that decoding accepts, before compression: 256 MiB and the envelopes of its changes.
const PAYLOAD_LIMIT: usize = 320 * 1024 * 1024;
/// A payload of no more than this many bytes is decompressed at once.
const AT_ONCE: usize = 1024 * 1024;

/// The payload of these changes, and whether it is compressed.
pub(super) fn written<E: EventCodec>(
    changes: &[Change<E>],
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<(Bytes, bool), KeyNotLoaded> {
    let sealing = Sealing {
        boundary,
        keys,
        missing: Cell::new(None),
    };
    let mut writer = BufWriter::with_capacity(COMPRESS_ABOVE, Payload::Plain(Vec::new()));
    let mut serializer = rmp_serde::Serializer::new(&mut writer).with_struct_map();
    let all = serializer.collect_seq(changes.iter().map(|change| ChangeToWrite {
        change,
        sealing: &sealing,
    }));
    if let Some(missing) = sealing.missing.take() {
        return Err(missing);
    }
    all.expect("events and commits hold nothing that MessagePack can't express");
    let payload = writer.into_inner().map_err(io::IntoInnerError::into_error);
    Ok(payload
        .and_then(Payload::finish)
        .expect("writing and compressing in memory can't fail"))
}

/// Bytes as they are written: plain until there are many.
enum Payload {
    Plain(Vec<u8>),
    Compressed(Box<Encoder<'static, Vec<u8>>>),
}

impl Payload {
    fn finish(self) -> io::Result<(Bytes, bool)> {
        Ok(match self {
            Self::Plain(bytes) => (bytes.into(), false),
            Self::Compressed(encoder) => (encoder.finish()?.into(), true),
        })
    }
}

impl Write for Payload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(written) if written.len() + bytes.len() <= COMPRESS_ABOVE => {
                written.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Plain(written) => {
                let mut encoder = Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.write_all(written)?;
                encoder.write_all(bytes)?;
                *self = Self::Compressed(Box::new(encoder));
                Ok(bytes.len())
            }
            Self::Compressed(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What events are encoded with; a key that isn't loaded is noted on the way out.
struct Sealing<'keys> {
    boundary: Boundary,
    keys: &'keys dyn DataKeys,
    missing: Cell<Option<KeyNotLoaded>>,
}

struct ChangeToWrite<'all, E> {
    change: &'all Change<E>,
    sealing: &'all Sealing<'all>,
}

impl<E: EventCodec> Serialize for ChangeToWrite<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { change, sealing } = self;
        // Where it differs from the time in the order of changes.
        let clock = Some(change.clock).filter(|clock| *clock != change.at);
        let optional = [
            clock.is_some(),
            change.reason.is_some(),
            change.request_id.is_some(),
            change.source.is_some(),
            change.idempotency.is_some(),
        ];
        let fields = 5 + optional.iter().filter(|is_set| **is_set).count();
        let mut record = serializer.serialize_struct("ChangeRecord", fields)?;
        record.serialize_field("version", &change.version)?;
        record.serialize_field("at", &change.at)?;
        if let Some(clock) = &clock {
            record.serialize_field("clock", clock)?;
        }
        record.serialize_field("actor", &change.actor)?;
        if let Some(reason) = &change.reason {
            record.serialize_field("reason", reason)?;
        }
        if let Some(request_id) = &change.request_id {
            record.serialize_field("request_id", request_id)?;
        }
        if let Some(source) = &change.source {
            record.serialize_field("source", source)?;
        }
        if let Some(idempotency) = &change.idempotency {
            record.serialize_field("idempotency", idempotency)?;
        }
        record.serialize_field("catalogue", &change.catalogue)?;
        let events = EventsToWrite {
            events: &change.events,
            sealing,
        };
        record.serialize_field("events", &events)?;
        record.end()
    }
}

struct EventsToWrite<'all, E> {
    events: &'all [E],
    sealing: &'all Sealing<'all>,
}

impl<E: EventCodec> Serialize for EventsToWrite<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Sealing {
            boundary,
            keys,
            missing,
        } = self.sealing;
        let mut records = serializer.serialize_seq(Some(self.events.len()))?;
        for event in self.events {
            let record = event.encode(*boundary, *keys).map_err(|error| {
                let told = S::Error::custom(&error);
                missing.set(Some(error));
                told
            })?;
            records.serialize_element(&record)?;
        }
        records.end()
    }
}

/// Reads a payload.
pub(super) fn read<E: EventCodec>(
    payload: &[u8],
    compressed: bool,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<Vec<Change<E>>, DecodeError> {
    let opening = Opening {
        boundary,
        keys,
        failed: Cell::new(None),
    };
    let damaged = |error: io::Error| DecodeError::malformed("a commit's compressed changes", error);
    let all = Changes::<E> {
        opening: &opening,
        of: PhantomData,
    };
    let size = zstd::bulk::Decompressor::upper_bound(payload).filter(|size| *size <= AT_ONCE);
    let read = match (compressed, size) {
        (false, _) => all.deserialize(&mut rmp_serde::Deserializer::from_read_ref(payload)),
        (true, Some(size)) => {
            let plain = zstd::bulk::decompress(payload, size).map_err(damaged)?;
            all.deserialize(&mut rmp_serde::Deserializer::from_read_ref(&plain))
        }
        (true, None) => {
            let plain = Decoder::new(payload).map_err(damaged)?.take(PAYLOAD_LIMIT as u64);
            all.deserialize(&mut rmp_serde::Deserializer::new(io::BufReader::new(plain)))
        }
    };
    read.map_err(|error| {
        let failed = opening.failed.take();
        failed.unwrap_or_else(|| DecodeError::malformed("a commit's changes", error))
    })
}

/// What events are decoded with; why one can't be is noted on the way out.
struct Opening<'keys> {
    boundary: Boundary,
    keys: &'keys dyn DataKeys,
    failed: Cell<Option<DecodeError>>,
}

struct Changes<'all, E> {
    opening: &'all Opening<'all>,
    of: PhantomData<E>,
}

impl<'de, E: EventCodec> DeserializeSeed<'de> for Changes<'_, E> {
    type Value = Vec<Change<E>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, E: EventCodec> Visitor<'de> for Changes<'_, E> {
    type Value = Vec<Change<E>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("changes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut changes = Vec::new();
        let one = || OneChange::<E> {
            opening: self.opening,
            of: PhantomData,
        };
        while let Some(change) = elements.next_element_seed(one())? {
            changes.push(change);
        }
        Ok(changes)
    }
}

struct OneChange<'all, E> {
    opening: &'all Opening<'all>,
    of: PhantomData<E>,
}

impl<'de, E: EventCodec> DeserializeSeed<'de> for OneChange<'_, E> {
    type Value = Change<E>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: EventCodec> Visitor<'de> for OneChange<'_, E> {
    type Value = Change<E>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a change")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Change<E>, A::Error> {
        let (mut version, mut at, mut clock, mut catalogue, mut events) = (None, None, None, None, None);
        let mut actor: Option<Actor> = None;
        let (mut reason, mut request_id, mut source, mut idempotency) = (None, None, None, None);
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match &*name {
                "version" => version = Some(members.next_value::<Version>()?),
                "at" => at = Some(members.next_value::<Timestamp>()?),
                "clock" => clock = members.next_value::<Option<Timestamp>>()?,
                "actor" => actor = Some(members.next_value()?),
                "reason" => reason = members.next_value::<Option<String>>()?,
                "request_id" => request_id = members.next_value::<Option<uuid::Uuid>>()?,
                "source" => source = members.next_value::<Option<String>>()?,
                "idempotency" => idempotency = members.next_value::<Option<Idempotency>>()?,
                "catalogue" => catalogue = Some(members.next_value::<u32>()?),
                "events" => {
                    let all = Events {
                        opening: self.opening,
                        of: PhantomData,
                    };
                    events = Some(members.next_value_seed(all)?);
                }
                // A later program may have more to say.
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let missing = A::Error::missing_field;
        let at = at.ok_or_else(|| missing("at"))?;
        Ok(Change {
            version: version.ok_or_else(|| missing("version"))?,
            at,
            clock: clock.unwrap_or(at),
            actor: actor.ok_or_else(|| missing("actor"))?,
            reason,
            request_id,
            source,
            idempotency,
            catalogue: catalogue.ok_or_else(|| missing("catalogue"))?,
            events: events.ok_or_else(|| missing("events"))?,
        })
    }
}

struct Events<'all, E> {
    opening: &'all Opening<'all>,
    of: PhantomData<E>,
}

impl<'de, E: EventCodec> DeserializeSeed<'de> for Events<'_, E> {
    type Value = Vec<E>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, E: EventCodec> Visitor<'de> for Events<'_, E> {
    type Value = Vec<E>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<E>, A::Error> {
        let Opening {
            boundary,
            keys,
            failed,
        } = self.opening;
        let mut events = Vec::new();
        while let Some(record) = elements.next_element::<EventRecord>()? {
            let event = E::decode(&record, *boundary, *keys).map_err(|error| {
                let told = A::Error::custom(&error);
                failed.set(Some(error));
                told
            })?;
            events.push(event);
        }
        Ok(events)
    }
}
