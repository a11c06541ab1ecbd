//! Who may do what: every endpoint of the document is asked by everybody about every group.
//!
//! [`rule`] says what has to come of it, from a table of its own. Whoever is refused changes nothing and learns nothing: neither what
//! is in another's group, nor whether there is such a group. With `AUTHORIZATION=all` everybody asks about every group; otherwise
//! those do whose answers are compared with each other, and the others ask each endpoint about one group, in turn.
//!
//! - [`endpoints`], [`site`] with [`furniture`]: what is asked, who asks, and what there is to be found.
//! - [`own_group`]: what somebody learns of others from the group that is theirs; [`methods`]: those that no endpoint has.

mod endpoints;
mod furniture;
mod methods;
mod own_group;
mod rule;
mod site;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use domain::Position;
use serde_json::{Value, json};

use self::endpoints::Endpoint;
use self::furniture::{secret, word};
use self::rule::{Due, Needs, Place};
use self::site::{Caller, Selector, Site};
use crate::app::{Call, Heard};

const PLACES: [Place; 7] = [
    Place::One,
    Place::Other,
    Place::Default,
    Place::Restored,
    Place::Deleted,
    Place::Foreign,
    Place::Never,
];
/// Groups that are compared with each other by those to whom they are nothing.
const COMPARED: [Place; 4] = [Place::Other, Place::Deleted, Place::Foreign, Place::Never];
/// How many violations are told.
const TOLD: usize = 20;

/// What was asked and what came of it.
#[derive(Default)]
struct Outcome {
    cases: usize,
    /// Answers in which something of a group was found that its reader may know.
    telling: usize,
    violations: Vec<String>,
    /// What one caller heard of an endpoint about groups that it may not know.
    alike: BTreeMap<String, BTreeSet<String>>,
}

impl Outcome {
    #[expect(
        clippy::print_stdout,
        reason = "how many cases there were is what it is run for"
    )]
    fn tell(&self, what: &str) {
        println!("{} {what}, {} violations", self.cases, self.violations.len());
        let told = &self.violations[..self.violations.len().min(TOLD)];
        assert!(told.is_empty(), "{}", told.join("\n"));
    }
}

/// One question.
struct Case<'site> {
    endpoint: &'site Endpoint,
    caller: &'site Caller,
    selector: &'site Selector,
    due: Due,
}

impl Case<'_> {
    fn path(&self, site: &Site) -> String {
        let changes = !matches!(self.endpoint.method, Method::GET | Method::HEAD);
        // Who is answered finds nothing to change; who is refused asks for what is there.
        let place = match self.due == Due::Answer && changes {
            true => Place::Never,
            false => self.selector.place,
        };
        self.endpoint
            .filled(&self.selector.text, |before| site.named(place, before))
    }

    fn call(&self, site: &Site) -> Call {
        let method = &self.endpoint.method;
        let call = self.caller.asks(&site.app, method, &self.path(site));
        let only_reads = matches!(self.endpoint.needs, Needs::Group { writes: false, .. });
        match *method {
            Method::GET | Method::HEAD => call,
            // No change was ever numbered so.
            Method::DELETE if self.due == Due::Answer => call.header("if-match", "\"0\""),
            Method::DELETE => call,
            _ if self.due == Due::Answer && !only_reads => {
                let call = call.header("if-match", "\"0\"");
                call.bytes("application/json", "{")
            }
            _ => call.json(&json!({})),
        }
    }

    fn said(&self, site: &Site) -> String {
        let (caller, method) = (&self.caller.name, &self.endpoint.method);
        format!("{caller}: {method} {}", self.path(site))
    }

    /// What is wrong with an answer.
    fn wrong(&self, heard: &Heard) -> Option<String> {
        let status = heard.status.as_u16();
        let fits = match self.due {
            Due::Answer => !matches!(status, 401 | 403),
            Due::Stranger => status == 401 && heard.header("www-authenticate") == "Bearer",
            Due::Forbidden => status == 403,
            // By a name nobody is restored or purged.
            Due::Missing => status == 404 || status == 400 && self.endpoint.is_about_deleted_groups(),
        };
        if !fits {
            return Some(format!("{:?} is due, not {status}", self.due));
        }
        // An answer to HEAD has no body.
        if self.due != Due::Answer && self.endpoint.method != Method::HEAD && !says_something(heard) {
            return Some("the refusal says nothing".to_owned());
        }
        let text = self.unasked(heard);
        let told = PLACES
            .iter()
            .find(|place| !self.caller.may_know(**place) && text.contains(word(**place)));
        if let Some(told) = told {
            return Some(format!("it tells of {told:?}"));
        }
        let shown = PLACES.iter().find(|place| text.contains(&secret(**place)));
        shown
            .filter(|_| !self.caller.may_know_secrets())
            .map(|shown| format!("it shows a secret of {shown:?}"))
    }

    /// What was said that the caller didn't say itself.
    fn unasked(&self, heard: &Heard) -> String {
        // What was said by the caller itself is as long as it is.
        let headers = heard.headers.iter().filter(|(name, _)| *name != "content-length");
        let mut headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort_unstable();
        format!("{} {}\n{}", heard.status, headers.join("\n"), heard.text)
            .replace(&self.selector.text, "(group)")
    }
}

async fn log_end(site: &Site) -> Position {
    site.app.log_and_keyring().0.tail().await.unwrap()
}

/// Whether somebody asks about every group, because what is heard of one is compared with what is heard of another.
fn is_compared(caller: &Caller, endpoint: &Endpoint) -> bool {
    match caller.name.as_str() {
        _ if endpoint.method == Method::HEAD => false,
        "One's admin" => endpoint.method != Method::GET,
        "One's viewer" => endpoint.method == Method::GET,
        name => name == "another organization's admin",
    }
}

/// The groups that somebody asks an endpoint about: one, whose turn it is, and those that are compared.
fn asked_about<'site>(
    site: &'site Site,
    endpoint: &Endpoint,
    caller: &Caller,
    turn: usize,
) -> Vec<&'site Selector> {
    let all = std::env::var("AUTHORIZATION").is_ok_and(|wanted| wanted == "all");
    let compares = is_compared(caller, endpoint);
    let names_groups = endpoint.path.contains("{group}");
    let turn = turn % site.selectors.len();
    let wanted = |(index, selector): &(usize, &Selector)| {
        let also = names_groups && (all || compares && COMPARED.contains(&selector.place));
        *index == turn || also
    };
    let selectors = site.selectors.iter().enumerate().filter(wanted);
    selectors.map(|(_, selector)| selector).collect()
}

/// Everybody asks for every one of some endpoints.
async fn asked(site: &Site, endpoints: &[Endpoint]) -> Outcome {
    let mut outcome = Outcome::default();
    for (row, endpoint) in endpoints.iter().enumerate() {
        for (column, caller) in site.callers.iter().enumerate() {
            for selector in asked_about(site, endpoint, caller, row + column) {
                let case = Case {
                    endpoint,
                    caller,
                    selector,
                    due: endpoint.due(caller.may, selector),
                };
                ask(site, &case, &mut outcome).await;
            }
        }
    }
    let differing = outcome.alike.iter().filter(|(_, answers)| answers.len() > 1);
    let differing =
        differing.map(|(asked, answers)| format!("{asked}: a foreign group is told from none: {answers:#?}"));
    outcome.violations.extend(differing);
    outcome
}

async fn ask(site: &Site, case: &Case<'_>, outcome: &mut Outcome) {
    let before = log_end(site).await;
    let heard = case.call(site).send().await;
    outcome.cases += 1;
    let mut complain = |wrong: String| {
        let said = case.said(site);
        outcome
            .violations
            .push(format!("{said}: {wrong}: {} {}", heard.status, heard.text));
    };
    if let Some(wrong) = case.wrong(&heard) {
        complain(wrong);
    }
    if log_end(site).await != before {
        complain("something was changed".to_owned());
    }
    let place = case.selector.place;
    outcome.telling += usize::from(heard.text.contains(word(place)) && heard.status == 200);
    let unknown = place == Place::Never || !case.caller.may_know(place);
    if unknown && case.due != Due::Answer && case.endpoint.path.contains("{group}") {
        let (name, method, path) = (&case.caller.name, &case.endpoint.method, &case.endpoint.path);
        let way = match case.endpoint.is_about_deleted_groups() && case.selector.by_id {
            true => " by id",
            false => "",
        };
        let asked = format!("{name}: {method} {path}{way}");
        let answers = outcome.alike.entry(asked).or_default();
        answers.insert(case.unasked(&heard));
    }
}

fn says_something(heard: &Heard) -> bool {
    let said = |name: &str| heard.body[name].as_str().is_some_and(|text| !text.is_empty());
    heard.body != Value::Null && (said("detail") || said("message"))
}

#[tokio::test]
async fn everybody_is_answered_what_the_rule_says_changes_nothing_else_and_learns_nothing_else() {
    let site = Site::furnished().await;
    let endpoints = endpoints::all();
    assert!(endpoints.len() > 1_500, "{}", endpoints.len());
    let outcome = asked(&site, &endpoints).await;
    outcome.tell("authorization cases");
    assert!(outcome.telling > 1_000, "{}", outcome.telling);
}
