//! The installation that is asked: groups of every kind, with something in each, and callers of every kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api::clock::SystemClock;
use axum::http::Method;
use domain::token::{self, Role};
use domain::{Clock, Timestamp};
use serde_json::{Value, json};

use super::furniture::{self, word};
use super::rule::{Home, May, Place};
use crate::app::{App, Call};

/// The time, as far as it was moved.
#[derive(Default)]
struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) may: May,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    fn with(name: &str, may: May, header: &'static str, value: String) -> Self {
        Self {
            name: name.to_owned(),
            may,
            headers: vec![(header, value)],
        }
    }

    fn bearer(name: &str, may: May, token: &str) -> Self {
        Self::with(name, may, "authorization", format!("Bearer {token}"))
    }

    /// A request of its own.
    pub(super) fn asks(&self, app: &App, method: &Method, path: &str) -> Call {
        let call = app.request(method.clone(), path).without("authorization");
        let call = call.header("x-request-id", "00000000-0000-4000-8000-000000000000");
        self.headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    }

    /// Whether it may know of what is in a group.
    pub(super) fn may_know(&self, place: Place) -> bool {
        match self.may {
            May::Act { home, .. } => match home {
                Home::Organization => place != Place::Foreign,
                Home::Group(own) => own == place,
                Home::OtherOrganization => place == Place::Foreign,
            },
            _ => false,
        }
    }

    /// Whether secrets may be shown to it.
    pub(super) fn may_know_secrets(&self) -> bool {
        matches!(self.may, May::Act { writes: true, .. })
    }
}

/// A way to name a group.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    pub(super) place: Place,
    pub(super) by_id: bool,
    pub(super) text: String,
}

/// Everything there is.
pub(super) struct Site {
    pub(super) app: App,
    pub(super) callers: Vec<Caller>,
    pub(super) selectors: Vec<Selector>,
    /// The certificate of each group's instances, and a token of the group.
    beside: BTreeMap<Place, (String, String)>,
    clock: Arc<MovedClock>,
}

const NEVER: &str = "0e000000-0000-4000-8000-000000000000";

impl Site {
    pub(super) async fn furnished() -> Self {
        let clock = Arc::new(MovedClock::default());
        let app = App::going_by(Arc::<MovedClock>::clone(&clock)).await;
        let mut site = Self {
            app,
            callers: Vec::new(),
            selectors: Vec::new(),
            beside: BTreeMap::new(),
            clock,
        };
        let stranger = site.app.another_organization().await;
        let admin = site.app.admin_token().to_owned();
        let mut ids = BTreeMap::new();
        for place in [Place::One, Place::Other, Place::Restored, Place::Deleted] {
            ids.insert(place, site.group(&admin, place).await);
        }
        ids.insert(Place::Foreign, site.group(&stranger, Place::Foreign).await);
        let default = site.app.get("/v2/runtime-groups/default").await.expect(200);
        let default = default.body["id"].as_str().unwrap().to_owned();
        site.fill(&admin, Place::Default, &default).await;
        ids.insert(Place::Default, default);
        ids.insert(Place::Never, NEVER.to_owned());
        site.people(&admin, &stranger).await;
        site.people_who_have_lost_it(&ids).await;
        for (place, id) in ids {
            let name = if place == Place::Default {
                "default"
            } else {
                word(place)
            };
            for (by_id, text) in [(true, id.as_str()), (false, name)] {
                let text = text.to_owned();
                site.selectors.push(Selector { place, by_id, text });
            }
        }
        site
    }

    /// What is asked for in a group besides its entities: an instance's certificate, a token.
    pub(super) fn named(&self, place: Place, before: &str) -> String {
        let beside = self.beside.get(&place);
        match (before, beside) {
            ("dp-client-certificates", Some((certificate, _))) => certificate.clone(),
            ("tokens", Some((_, token))) => token.clone(),
            ("tags", _) => word(place).to_owned(),
            // It is called by its name.
            ("plugin-schemas", _) => word(place).to_owned(),
            (collection, _) => furniture::id_in(place, collection),
        }
    }

    async fn group(&mut self, token: &str, place: Place) -> String {
        let body = json!({ "name": word(place), "description": word(place) });
        let create = self
            .app
            .request(Method::POST, "/v2/runtime-groups")
            .with_token(token);
        let created = create.json(&body).send().await.expect(201);
        let id = created.body["id"].as_str().unwrap().to_owned();
        self.fill(token, place, &id).await;
        id
    }

    async fn fill(&mut self, token: &str, place: Place, id: &str) {
        furniture::furnish(&self.app, token, place, id).await;
        let issue = format!("/v2/runtime-groups/{id}/dp-client-certificates/issue");
        let issue = self.app.request(Method::POST, &issue).with_token(token);
        let issued = issue
            .json(&json!({ "name": word(place) }))
            .send()
            .await
            .expect(201);
        let certificate = text(&issued.body["item"]["id"]);
        let record = self.issued(token, word(place), "viewer", Some(id), None).await;
        self.beside.insert(place, (certificate, text(&record["id"])));
    }

    async fn issued(
        &self,
        token: &str,
        name: &str,
        role: &str,
        group: Option<&str>,
        expires_at: Option<Timestamp>,
    ) -> Value {
        let expires_at = expires_at.map(Timestamp::rfc3339);
        let body = json!({ "name": name, "role": role, "group": group, "expires_at": expires_at });
        let issue = self.app.request(Method::POST, "/v2/tokens").with_token(token);
        issue.json(&body).send().await.expect(201).body
    }

    /// Those whose tokens are as good as they ever were.
    async fn people(&mut self, admin: &str, stranger: &str) {
        let act = |writes, home| May::Act { writes, home };
        let organization = Home::Organization;
        self.add(Caller::bearer(
            "the organization's admin",
            act(true, organization),
            admin,
        ));
        let viewer = self.app.token("viewer", None).await;
        let viewer = Caller::bearer("the organization's viewer", act(false, organization), &viewer);
        self.add(viewer);
        let day = 24 * 60 * 60;
        self.clock.0.store(day, Ordering::SeqCst);
        let early = self.app.token("viewer", None).await;
        self.clock.0.store(0, Ordering::SeqCst);
        let name = "a viewer whose token was issued while the clock was ahead";
        self.add(Caller::bearer(name, act(false, organization), &early));
        let name = "another organization's admin";
        self.add(Caller::bearer(name, act(true, Home::OtherOrganization), stranger));
        for place in [Place::One, Place::Other, Place::Default, Place::Restored] {
            let group = if place == Place::Default {
                "default"
            } else {
                word(place)
            };
            let home = Home::Group(place);
            for (role, may) in [
                ("admin", act(true, home)),
                ("viewer", act(false, home)),
                ("instance", May::Connect),
            ] {
                let token = self.app.token(role, Some(group)).await;
                self.add(Caller::bearer(&format!("{place:?}'s {role}"), may, &token));
            }
        }
        let admin = self.app.token("admin", Some(word(Place::One))).await;
        let may = act(true, Home::Group(Place::One));
        self.add(Caller::with(
            "One's admin in Kong's header",
            may,
            "kong-admin-token",
            admin.clone(),
        ));
        let viewer = self.app.token("viewer", Some(word(Place::One))).await;
        let may = act(false, Home::Group(Place::One));
        let mut both = Caller::with(
            "One's viewer with two credentials",
            may,
            "authorization",
            "Basic eDp5".to_owned(),
        );
        both.headers.push(("authorization", format!("Bearer {viewer}")));
        // The token that is meant is the bearer's: this one would allow more.
        both.headers.push(("kong-admin-token", admin));
        self.add(both);
    }

    /// Those who have no token, or one that is good for nothing; groups are deleted, and one of them restored.
    async fn people_who_have_lost_it(&mut self, ids: &BTreeMap<Place, String>) {
        let lost = |name: &str, token: &str| Caller::bearer(name, May::Nothing, token);
        let mut nobody = lost("nobody", "");
        nobody.headers.clear();
        self.add(nobody);
        let unknown = token::write(Role::Admin, [99; 32]);
        let whole = self.app.admin_token().to_owned();
        let garbled = whole.replacen("rma_", "rma_x", 1);
        self.add(lost("one with an empty token", ""));
        self.add(lost("one with an unknown token", unknown.expose()));
        self.add(lost("one with a garbled token", &garbled));
        self.add(lost("one with a token cut short", &whole[..whole.len() - 1]));
        let renamed = whole.replacen("rma_", "rmv_", 1);
        self.add(lost("one with a token of another kind's beginning", &renamed));
        let basic = format!("Basic {whole}");
        self.add(Caller::with(
            "one with another scheme",
            May::Nothing,
            "authorization",
            basic,
        ));
        let mut revoked = Vec::new();
        for (name, role, group) in [
            ("the organization's admin, revoked", "admin", None),
            ("One's admin, revoked", "admin", Some(word(Place::One))),
            ("One's instance, revoked", "instance", Some(word(Place::One))),
            (
                "Restored's admin, revoked before",
                "admin",
                Some(word(Place::Restored)),
            ),
        ] {
            let issued = self.issued(&whole, "revoked", role, group, None).await;
            self.add(lost(name, &text(&issued["token"])));
            revoked.push(text(&issued["id"]));
        }
        for id in revoked {
            self.app.delete(&format!("/v2/tokens/{id}")).await.expect(204);
        }
        for role in ["admin", "viewer", "instance"] {
            let token = self.app.token(role, Some(word(Place::Deleted))).await;
            self.add(lost(&format!("Deleted's {role}"), &token));
        }
        let soon = self.clock.now().plus_seconds(600);
        for (name, role, group) in [
            ("the organization's admin, expired", "admin", None),
            ("One's viewer, expired", "viewer", Some(word(Place::One))),
        ] {
            let issued = self.issued(&whole, "expired", role, group, Some(soon)).await;
            self.add(lost(name, &text(&issued["token"])));
        }
        self.clock.0.store(1_200, Ordering::SeqCst);
        for place in [Place::Deleted, Place::Restored] {
            let group = format!("/v2/runtime-groups/{}", ids[&place]);
            self.app.delete(&group).await.expect(204);
        }
        let restore = format!("/v2/runtime-groups/{}/restore", ids[&Place::Restored]);
        self.app.post(&restore, &json!({})).await.expect(200);
    }

    fn add(&mut self, caller: Caller) {
        self.callers.push(caller);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
