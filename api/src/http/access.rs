//! Who a request's token belongs to and which group its path names, checked in one place before a handler can run
//! (DESIGN §11). Both are remembered for a moment, so that a request costs no look-up in the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use dashmap::DashMap;
use domain::organization::GroupRecord;
use domain::token::{self, Role, TokenHash};
use domain::{OrganizationId, Timestamp};
use uuid::Uuid;

use super::endpoint::Permission;
use super::exchange::Caller;
use super::reads::Reads;
use super::refusal::Refusal;

/// How long a look-up is remembered, in milliseconds: how late a change made through another process may be seen.
const REMEMBERED: i64 = 1_000;
/// More entries than this are not remembered at once.
const REMEMBERED_AT_MOST: usize = 20_000;

struct Remembered<Value> {
    value: Value,
    since: Timestamp,
}

/// Look-ups of tokens and groups.
#[derive(Default)]
pub(crate) struct Access {
    tokens: DashMap<TokenHash, Remembered<Caller>>,
    groups: DashMap<(OrganizationId, String), Remembered<Arc<GroupRecord>>>,
    /// Counts organization changes made through this process: what was looked up before one isn't remembered after.
    changes: AtomicU64,
}

impl Access {
    /// Forgets everything: an organization has changed.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.tokens.clear();
        self.groups.clear();
    }

    /// The holder of the request's token.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        reads: &Reads,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let text = presented_token(headers)?;
        let hash = token::read(text).map_err(|garbled| unauthenticated(&garbled.to_string()))?;
        let caller = match recall(&self.tokens, &hash, now) {
            Some(caller) => caller,
            None => {
                let changes = self.changes.load(Ordering::SeqCst);
                let caller = reads
                    .caller(hash)
                    .await?
                    .ok_or_else(|| unauthenticated("this token is not known here"))?;
                self.remember(&self.tokens, hash, caller.clone(), now, changes);
                caller
            }
        };
        if caller.token.revoked_at.is_some() {
            return Err(unauthenticated("this token was revoked: ask for a new one"));
        }
        if !caller.token.works_at(now) {
            return Err(unauthenticated("this token has expired: ask for a new one"));
        }
        Ok(caller)
    }

    /// The group a path names, by id or name; the caller must be allowed to see it.
    pub(crate) async fn group(
        &self,
        caller: &Caller,
        selector: &str,
        deleted_too: bool,
        reads: &Reads,
        now: Timestamp,
    ) -> Result<Arc<GroupRecord>, Refusal> {
        let key = (caller.organization, selector.to_owned());
        let group = match recall(&self.groups, &key, now) {
            Some(group) => group,
            None => {
                let changes = self.changes.load(Ordering::SeqCst);
                let found = reads.group(caller.organization, selector).await?;
                let group = Arc::new(found.ok_or_else(|| no_group(selector))?.record);
                self.remember(&self.groups, key, Arc::clone(&group), now, changes);
                group
            }
        };
        if group.deleted_at.is_some() && !deleted_too {
            return Err(no_group(selector));
        }
        Ok(group)
    }

    fn remember<Key: Eq + std::hash::Hash, Value>(
        &self,
        map: &DashMap<Key, Remembered<Value>>,
        key: Key,
        value: Value,
        now: Timestamp,
        changes: u64,
    ) {
        if map.len() >= REMEMBERED_AT_MOST {
            map.clear();
        }
        map.insert(key, Remembered { value, since: now });
        // What was read before a change must not outlive it.
        if self.changes.load(Ordering::SeqCst) != changes {
            map.clear();
        }
    }
}

fn recall<Key: Eq + std::hash::Hash, Value: Clone>(
    map: &DashMap<Key, Remembered<Value>>,
    key: &Key,
    now: Timestamp,
) -> Option<Value> {
    let found = map.get(key)?;
    let age = now.0 - found.since.0;
    (0..REMEMBERED).contains(&age).then(|| found.value.clone())
}

/// Checks a permission; for one about a group, before the group is looked up, so that a token of one group learns
/// nothing about another.
pub(crate) fn authorize(caller: &Caller, permission: Permission, group: Option<&str>) -> Result<(), Refusal> {
    let role = caller.token.role;
    if role == Role::Instance {
        return Err(forbidden(
            "an instance token connects a runtime instance and does nothing else: use an admin or viewer token",
        ));
    }
    let writes = matches!(permission, Permission::WriteOrganization | Permission::WriteGroup);
    if writes && role != Role::Admin {
        return Err(forbidden("this token may only read: use an admin token"));
    }
    let whole = matches!(
        permission,
        Permission::ReadOrganization | Permission::WriteOrganization
    );
    match (caller.token.group, group) {
        (Some(own), _) if whole => Err(forbidden(&format!(
            "this token is for the runtime group {own} only, this needs one of the whole organization"
        ))),
        (Some(own), Some(named)) if Uuid::try_parse(named).is_ok_and(|id| id != own.0) => Err(forbidden(
            &format!("this token is for the runtime group {own} only"),
        )),
        _ => Ok(()),
    }
}

/// The other half of [`authorize`] for a group that was named by its name.
pub(crate) fn authorize_group(caller: &Caller, group: &GroupRecord) -> Result<(), Refusal> {
    match caller.token.group {
        Some(own) if own != group.id => Err(forbidden(&format!(
            "this token is for the runtime group {own} only"
        ))),
        _ => Ok(()),
    }
}

fn presented_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    // A client may send Basic and Bearer at once (`deck-go-kong.md` §1.2).
    let bearer = headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
    let kong = || {
        headers
            .get("kong-admin-token")
            .and_then(|value| value.to_str().ok())
    };
    bearer
        .or_else(kong)
        .ok_or_else(|| unauthenticated("no token was sent: add the header `Authorization: Bearer <token>`"))
}

fn unauthenticated(message: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, message)
}

fn forbidden(message: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, message)
}

fn no_group(selector: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is no runtime group '{selector}' in this organization"),
    )
}
