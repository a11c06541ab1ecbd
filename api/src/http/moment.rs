//! Which state of a group a read is about: the newest, or `?at=` a version or a time (DESIGN §6, §8).

use axum::http::StatusCode;
use domain::{GroupId, Timestamp, Version};

use super::answer::GROUP_VERSION;
use super::exchange::Exchange;
use super::refusal::Refusal;

/// The state a read is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// A past version; none for the newest state.
    pub(crate) at: Option<Version>,
    /// The group's version when the read began.
    pub(crate) newest: Version,
}

impl Exchange {
    /// Waits until the views hold everything that was durable when the request came, and answers the group's version.
    pub(crate) async fn newest_version(&self) -> Result<Version, Refusal> {
        let group = self.group()?.id;
        let newest = self.reads().group_version(group).await?;
        let wanted = self.header(GROUP_VERSION.as_str())?;
        let wanted = wanted.map(str::parse::<Version>).transpose();
        let wanted =
            wanted.map_err(|_| Refusal::bad_request("X-Group-Version must be a version of the group"))?;
        match wanted {
            Some(wanted) if wanted > newest => Err(Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                format!(
                    "the group is at version {newest}; X-Group-Version asks for {wanted}, which doesn't exist"
                ),
            )),
            _ => Ok(newest),
        }
    }

    /// The state that `?at=` asks for; a deleted group has only a past.
    pub(crate) async fn moment(&self) -> Result<Moment, Refusal> {
        let newest = self.newest_version().await?;
        let at = self.version_in("at", self.group()?.id, newest).await?;
        if at.is_none() && self.group()?.deleted_at.is_some() {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "the runtime group is deleted: restore it, or read its past with ?at=<version>",
            ));
        }
        Ok(Moment {
            at: at.filter(|at| {
                *at < newest
                    || self
                        .group
                        .as_ref()
                        .is_some_and(|group| group.deleted_at.is_some())
            }),
            newest,
        })
    }

    /// The version of a group that a query parameter asks for: by its number, or by a time the last one at or before it.
    pub(crate) async fn version_in(
        &self,
        parameter: &'static str,
        group: GroupId,
        newest: Version,
    ) -> Result<Option<Version>, Refusal> {
        let Some(text) = self.query.get(parameter) else {
            return Ok(None);
        };
        match instant(parameter, text)? {
            Instant::Version(version) => existing(version, newest).map(Some),
            Instant::Time(time) => self.reads().version_at(group, time).await.map(Some),
        }
    }
}

/// A point in a history as a parameter says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    /// A version, which may not exist.
    Version(Version),
    /// A time.
    Time(Timestamp),
}

/// Reads a version or an RFC 3339 time.
pub(crate) fn instant(parameter: &'static str, text: &str) -> Result<Instant, Refusal> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Instant::Version(text.parse().unwrap_or(Version::MAX)));
    }
    // A form-decoded `+` of a time zone has become a space.
    let time = text.replace(' ', "+").parse();
    time.map(Instant::Time)
        .map_err(|_| Refusal::invalid(parameter, "is_date_time", "must be a version or an RFC 3339 time"))
}

/// Refuses a version the group hasn't reached.
pub(crate) fn existing(version: Version, newest: Version) -> Result<Version, Refusal> {
    if version > newest {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("version {version} doesn't exist: the newest is {newest}"),
        ));
    }
    Ok(version)
}
