//! In the group that is theirs, people learn nothing of the others: what is in another group looks as if it never was, and
//! what another group has can be had as well.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::Outcome;
use super::endpoints::{self, Endpoint};
use super::furniture::{self, body, id_in, word};
use super::rule::{Needs, Place};
use super::site::{Caller, Site};
use crate::app::Heard;

const GROUPS: &str = "/v2/runtime-groups";

/// What One's people ask, and what they hear.
struct InOne<'site> {
    site: &'site Site,
    caller: &'site Caller,
}

impl InOne<'_> {
    async fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Heard {
        let call = self.caller.asks(&self.site.app, method, path);
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    /// What an endpoint answers about something of another group, or about what never was; `owner` has what it is below.
    async fn hears(&self, endpoint: &Endpoint, owner: Place, place: Place) -> String {
        let has_child = endpoint.path.contains("{child}");
        let entity = endpoint
            .path
            .split('/')
            .zip(endpoint.path.split('/').skip(1))
            .find(|(_, parameter)| *parameter == "{entity}")
            .map(|(before, _)| before);
        let path = endpoint.filled(word(Place::One), |before| {
            let is_owner = has_child && entity == Some(before);
            self.site.named(if is_owner { owner } else { place }, before)
        });
        let changes = !matches!(endpoint.method, Method::GET | Method::HEAD | Method::DELETE);
        let sent = changes.then(|| json!({}));
        let heard = self.ask(&endpoint.method, &path, sent.as_ref()).await;
        let status = heard.status;
        // A change that is made has a number and a time of its own.
        if status.is_success() && endpoint.method != Method::GET {
            return status.to_string();
        }
        let text = heard.text;
        let names = [Place::Other, Place::Never];
        let segments: Vec<_> = path.split('/').collect();
        let asked = segments.into_iter().filter(|segment| {
            let is_named = |place: &Place| {
                let before = endpoint.path.split('/').zip(endpoint.path.split('/').skip(1));
                before
                    .filter(|(_, parameter)| parameter.starts_with('{'))
                    .any(|(before, _)| self.site.named(*place, before) == *segment)
            };
            names.iter().any(is_named)
        });
        let text = asked.fold(text, |text, segment| text.replace(segment, "(named)"));
        format!("{status} {text}")
    }
}

fn caller<'site>(site: &'site Site, name: &str) -> InOne<'site> {
    let caller = site.callers.iter().find(|caller| caller.name == name).unwrap();
    InOne { site, caller }
}

/// Everything that Other has.
async fn others_belongings(site: &Site) -> Vec<Value> {
    let mut belongings = Vec::new();
    for path in [
        "",
        "/dump?format=json",
        "/versions",
        "/dp-client-certificates",
        "/nodes",
    ] {
        let path = format!("{GROUPS}/{}{path}", word(Place::Other));
        belongings.push(site.app.get(&path).await.expect(200).body);
    }
    belongings
}

#[tokio::test]
async fn what_is_in_another_group_looks_in_ones_own_as_if_it_never_was() {
    let site = Site::furnished().await;
    let before = others_belongings(&site).await;
    let mut outcome = Outcome::default();
    let named = endpoints::all()
        .into_iter()
        .filter(|endpoint| matches!(endpoint.needs, Needs::Group { .. }) && endpoint.names_something());
    for endpoint in named {
        for name in ["One's admin", "One's viewer"] {
            let one = caller(&site, name);
            for owner in [Place::Other, Place::One] {
                let foreign = one.hears(&endpoint, owner, Place::Other).await;
                let owner = if owner == Place::Other {
                    Place::Never
                } else {
                    owner
                };
                let never = one.hears(&endpoint, owner, Place::Never).await;
                outcome.cases += 2;
                if foreign != never {
                    let (method, path) = (&endpoint.method, &endpoint.path);
                    let said = format!("{name}: {method} {path}: {foreign} where there is nothing: {never}");
                    outcome.violations.push(said);
                }
            }
        }
    }
    assert_eq!(others_belongings(&site).await, before);
    outcome.tell("cases of what another group has");
}

#[tokio::test]
async fn what_another_group_has_can_be_had_in_ones_own_as_well() {
    let site = Site::furnished().await;
    let before = others_belongings(&site).await;
    // Not beside One's own: names are taken there.
    let whole = site.app.admin_token().to_owned();
    let emptied = json!({ "_format_version": "3.0" });
    let apply = format!("{GROUPS}/{}/apply", word(Place::Restored));
    site.app.post(&apply, &emptied).await.expect(200);
    furniture::furnish(&site.app, &whole, Place::Other, word(Place::Restored)).await;
    assert_eq!(others_belongings(&site).await, before);
}

#[tokio::test]
async fn a_reference_to_another_groups_entity_is_one_to_nothing() {
    let site = Site::furnished().await;
    let one = caller(&site, "One's admin");
    for (collection, field, of) in [
        ("routes", "service", "services"),
        ("plugins", "consumer", "consumers"),
        ("snis", "certificate", "certificates"),
        ("key-auths", "consumer", "consumers"),
        ("acls", "consumer", "consumers"),
        ("keys", "set", "key-sets"),
        ("upstreams", "client_certificate", "certificates"),
    ] {
        let path = format!("{GROUPS}/{}/core-entities/{collection}", word(Place::One));
        let mut heard = Vec::new();
        for place in [Place::Other, Place::Never] {
            let id = id_in(place, of);
            // Nothing of it is in One already.
            let mut body = body(Place::Default, collection);
            body[field] = json!({ "id": id });
            let refused = one.ask(&Method::POST, &path, Some(&body)).await.expect(400);
            heard.push(refused.text.replace(&id, "(named)"));
        }
        assert_eq!(heard[0], heard[1], "{collection}");
    }
}

/// How a group is called in a path or a query.
fn called(site: &Site, place: Place, by_id: bool) -> String {
    let mut selectors = site.selectors.iter();
    let found = selectors.find(|selector| selector.place == place && selector.by_id == by_id);
    found.unwrap().text.clone()
}

/// Groups that are nothing to One's people, and one that never was.
const OTHERS: [Place; 4] = [Place::Other, Place::Deleted, Place::Foreign, Place::Never];

#[tokio::test]
async fn names_and_ids_of_other_groups_are_not_to_be_had_by_asking_for_them() {
    let site = Site::furnished().await;
    let own = word(Place::One);
    for query in [
        "?filter[name]=NAME".to_owned(),
        "?filter[id][oeq]=ID".to_owned(),
        "?filter[deleted]=true&filter[name]=NAME".to_owned(),
        format!("/{own}/diff?with=NAME"),
        format!("/{own}/diff?with=ID"),
    ] {
        for name in ["One's admin", "One's viewer"] {
            let one = caller(&site, name);
            let mut heard = BTreeSet::new();
            for place in OTHERS {
                let (name, id) = (called(&site, place, false), called(&site, place, true));
                let query = query.replace("NAME", &name).replace("ID", &id);
                let answer = one.ask(&Method::GET, &format!("{GROUPS}{query}"), None).await;
                assert!(!answer.status.is_server_error(), "{query}: {}", answer.text);
                heard.insert(format!("{} {}", answer.status, answer.text));
            }
            assert_eq!(heard.len(), 1, "{query}: {heard:#?}");
        }
    }
}

#[tokio::test]
async fn which_names_are_taken_is_not_to_be_had_by_taking_them() {
    let site = Site::furnished().await;
    let before = others_belongings(&site).await;
    let one = caller(&site, "One's admin");
    let own = format!("{GROUPS}/{}", word(Place::One));
    let mut heard = BTreeSet::new();
    for place in OTHERS {
        let name = json!({ "name": word(place) });
        heard.insert(one.ask(&Method::PATCH, &own, Some(&name)).await.expect(403).text);
    }
    assert_eq!(heard.len(), 1, "{heard:#?}");
    let kept = json!({ "name": word(Place::One), "description": "ours" });
    let kept = one.ask(&Method::PATCH, &own, Some(&kept)).await.expect(200);
    assert_eq!(kept.body["description"], "ours");
    let renamed = json!({ "name": word(Place::Never) });
    site.app.patch(&own, &renamed).await.expect(200);
    assert_eq!(others_belongings(&site).await, before);
}

#[tokio::test]
async fn a_certificate_of_another_group_is_refused_like_one_of_nobody() {
    let site = Site::furnished().await;
    let one = caller(&site, "One's admin");
    let held = format!("{GROUPS}/{}/dp-client-certificates", word(Place::Other));
    let held = site.app.get(&held).await.expect(200);
    let held = held.body["items"][0]["cert"].as_str().unwrap().to_owned();
    let (nobodys, key) = furniture::certificate("nobody", false);
    let own = format!("{GROUPS}/{}/dp-client-certificates", word(Place::One));
    let challenge = one
        .ask(&Method::GET, &format!("{own}/challenge"), None)
        .await
        .expect(200);
    let challenge = challenge.body["challenge"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, furniture::certificate("other key", false).1).unwrap();
    let by_another_key = api::cli::possession_proof::sign(&challenge, &file).unwrap();
    for proof in [None, Some(by_another_key)] {
        let mut heard = Vec::new();
        for certificate in [&held, &nobodys] {
            let mut body = json!({ "cert": certificate });
            if let Some(proof) = &proof {
                body["proof"].clone_from(proof);
            }
            heard.push(one.ask(&Method::POST, &own, Some(&body)).await.expect(403).text);
        }
        assert_eq!(heard[0], heard[1]);
    }
    std::fs::write(&file, key).unwrap();
    let proof = api::cli::possession_proof::sign(&challenge, &file).unwrap();
    let mine = json!({ "cert": nobodys, "proof": proof });
    one.ask(&Method::POST, &own, Some(&mine)).await.expect(201);
}
