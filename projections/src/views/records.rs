//! What an organization's history shows of groups, tokens, certificates and instances: records before and after.

use domain::codec::DecodeError;
use domain::{Boundary, Version};

use super::Views;
use super::changes::ChangeRow;
use crate::change_terms::Term;
use crate::error::ViewError;
use crate::recorded::Recorded;
use crate::summary::EventSummary;

impl Views {
    /// What had been recorded before a change of the thing that one of its events is about. Instances have no record that
    /// changes: each admission and each refusal is one of its own.
    pub(super) async fn recorded_before(
        &self,
        generation: i64,
        boundary: Boundary,
        version: Version,
        event: &EventSummary,
    ) -> Result<Option<Recorded>, ViewError> {
        let (Boundary::Organization(_), Some(kind), Some(id)) = (boundary, &event.kind, event.id) else {
            return Ok(None);
        };
        if kind == "nodes" || event.repeated {
            return Ok(None);
        }
        let newest = self
            .newest_with(generation, boundary, Term::thing(kind, id), version)
            .await?;
        let Some(newest) = newest else {
            return Ok(None);
        };
        let events = self.all_events(generation, boundary, newest).await?;
        let mut about = events
            .into_iter()
            .filter(|other| (other.kind.as_ref(), other.id) == (Some(kind), Some(id)));
        let last = about.next_back();
        Ok(last.and_then(|event| event.recorded).map(|recorded| *recorded))
    }

    /// Fills in the host names of instances that refused a configuration: their admissions tell them.
    pub(super) async fn name_hosts(
        &self,
        generation: i64,
        boundary: Boundary,
        change: &mut ChangeRow,
    ) -> Result<(), ViewError> {
        let version = change.version;
        let unnamed = change.events.iter_mut().filter(|event| event.name.is_none());
        for event in unnamed.filter(|event| event.kind.as_deref() == Some("nodes")) {
            let Some(id) = event.id else {
                continue;
            };
            let admitted = self
                .newest_with(generation, boundary, Term::admission(id), version)
                .await?;
            if let Some(admitted) = admitted {
                let events = self.all_events(generation, boundary, admitted).await?;
                let mut hosts = events.into_iter().filter(|other| other.id == Some(id));
                event.name = hosts.find_map(|host| host.name);
            }
        }
        Ok(())
    }

    /// Opens what instances say in a change.
    pub(super) async fn open_words(&self, change: &mut ChangeRow) -> Result<(), ViewError> {
        let keyring = &*self.shared.keyring;
        let recorded = change
            .events
            .iter_mut()
            .filter_map(|event| event.recorded.as_mut());
        for recorded in recorded {
            loop {
                match recorded.open_words(keyring) {
                    Ok(()) => break,
                    Err(DecodeError::KeyNotLoaded(missing)) => keyring.load(&[missing.0].into()).await?,
                    Err(error) => return Err(ViewError::damaged(error)),
                }
            }
        }
        Ok(())
    }

    /// All events of a change.
    pub(super) async fn all_events(
        &self,
        generation: i64,
        boundary: Boundary,
        version: Version,
    ) -> Result<Vec<EventSummary>, ViewError> {
        let mut found = self.changes_of(generation, boundary, &[version]).await?;
        let Some(mut change) = found.remove(&version) else {
            return Ok(Vec::new());
        };
        self.cut_events(generation, boundary, &mut change, 0, usize::MAX)
            .await?;
        Ok(change.events)
    }
}
