//! Who a request's token belongs to and which group its path names, checked in one place before a handler can run
//! (DESIGN §11). Both are remembered for a moment, so that a request costs no look-up in the database.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use dashmap::DashMap;
use domain::organization::GroupRecord;
use domain::token::{self, Role, TokenHash};
use domain::{GroupId, OrganizationId, Timestamp};
use projections::Lane;
use uuid::Uuid;

use super::endpoint::Permission;
use super::exchange::Caller;
use super::reads::Reads;
use super::refusal::Refusal;
use super::request_rates::Counted;
use super::services::Services;

/// How long a look-up is remembered, in milliseconds: how late a change made through another process may be seen.
const REMEMBERED: i64 = 1_000;
/// The same where an answer under way depends on it: it ends within a second.
const KNOWN_FOR: i64 = 300;
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

    /// The holder of the request's token, and by what the token is found again. Who is refused is counted, and slowed.
    pub(crate) async fn sign_in(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        counted: &Counted,
        reads: &Reads,
        now: Timestamp,
    ) -> Result<(TokenHash, Caller), Refusal> {
        let refused = |refusal: Refusal| {
            counted.sign_in_refused(address, &refusal.message);
            refusal
        };
        let text = presented_token(headers).inspect_err(|refusal| {
            // Nobody was guessing: this is only counted.
            counted.sign_in_refused(None, &refusal.message);
        })?;
        let hash = token::read(text).map_err(|garbled| refused(unauthenticated(&garbled.to_string())))?;
        if let Some(address) = address {
            counted.may_show(address, text).map_err(refused)?;
        }
        let caller = self.look_up(hash, REMEMBERED, reads, now).await?;
        let caller = caller
            .ok_or_else(|| unauthenticated("this token is not known here"))
            .and_then(|caller| usable(caller, now));
        let caller = caller.map_err(|refusal| {
            if let Some(address) = address {
                counted.was_no_good(address, text);
            }
            refused(refusal)
        })?;
        counted.was_good(text);
        Ok((hash, caller))
    }

    /// Whether a token still allows what it allowed, in a group if it was about one.
    pub(crate) async fn still_allows(
        &self,
        hash: TokenHash,
        permission: Permission,
        group: Option<&GroupRecord>,
        services: &Services,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let reads = services.reads(Lane::Serving);
        let caller = self.look_up(hash, KNOWN_FOR, reads, now).await?;
        let Some(caller) = caller.and_then(|caller| usable(caller, now).ok()) else {
            return Ok(false);
        };
        let Some(group) = group else {
            return Ok(authorize(&caller, permission, None).is_ok());
        };
        let named = group.id.0.to_string();
        if authorize(&caller, permission, Some(&named)).is_err() {
            return Ok(false);
        }
        let deleted_too = permission == Permission::ReadHistory;
        let known = self.look_up_group(&caller, &named, KNOWN_FOR, reads, now).await?;
        Ok(known.is_some_and(|known| deleted_too || known.deleted_at.is_none()))
    }

    async fn look_up(
        &self,
        hash: TokenHash,
        remembered: i64,
        reads: &Reads,
        now: Timestamp,
    ) -> Result<Option<Caller>, Refusal> {
        if let Some(caller) = recall(&self.tokens, &hash, remembered, now) {
            return Ok(Some(caller));
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let Some(caller) = reads.caller(hash).await? else {
            return Ok(None);
        };
        self.remember(&self.tokens, hash, caller.clone(), now, changes);
        Ok(Some(caller))
    }

    async fn look_up_group(
        &self,
        caller: &Caller,
        selector: &str,
        remembered: i64,
        reads: &Reads,
        now: Timestamp,
    ) -> Result<Option<Arc<GroupRecord>>, Refusal> {
        let key = (caller.organization, selector.to_owned());
        if let Some(group) = recall(&self.groups, &key, remembered, now) {
            return Ok(Some(group));
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let Some(found) = reads.group(caller.organization, selector).await? else {
            return Ok(None);
        };
        let group = Arc::new(found.record);
        self.remember(&self.groups, key, Arc::clone(&group), now, changes);
        Ok(Some(group))
    }

    /// The group that a text names, by id or name, for a caller that has the permission there. Whoever has a token of one group is
    /// refused in the same words whether there is another of this name or not.
    pub(crate) async fn group(
        &self,
        caller: &Caller,
        permission: Permission,
        selector: &str,
        reads: &Reads,
        now: Timestamp,
    ) -> Result<Arc<GroupRecord>, Refusal> {
        authorize(caller, permission, Some(selector))?;
        let found = self
            .look_up_group(caller, selector, REMEMBERED, reads, now)
            .await?;
        let deleted_too = permission == Permission::ReadHistory;
        let found = found.filter(|group| deleted_too || group.deleted_at.is_none());
        match (found, caller.token.group) {
            (Some(group), None) => Ok(group),
            (Some(group), Some(own)) if group.id == own => Ok(group),
            (_, Some(own)) => Err(of_another_group(own)),
            (None, None) => Err(no_group(selector)),
        }
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
    remembered: i64,
    now: Timestamp,
) -> Option<Value> {
    let found = map.get(key)?;
    let age = now.0 - found.since.0;
    (0..remembered).contains(&age).then(|| found.value.clone())
}

/// Checks a permission; for one about a group, as far as that is known before the group is looked up.
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
        (Some(own), Some(named)) if Uuid::try_parse(named).is_ok_and(|id| id != own.0) => {
            Err(of_another_group(own))
        }
        _ => Ok(()),
    }
}

fn of_another_group(own: GroupId) -> Refusal {
    forbidden(&format!("this token is for the runtime group {own} only"))
}

/// A token that was found, if it works.
fn usable(caller: Caller, now: Timestamp) -> Result<Caller, Refusal> {
    if caller.token.revoked_at.is_some() {
        return Err(unauthenticated("this token was revoked: ask for a new one"));
    }
    if !caller.token.works_at(now) {
        return Err(unauthenticated("this token has expired: ask for a new one"));
    }
    Ok(caller)
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
