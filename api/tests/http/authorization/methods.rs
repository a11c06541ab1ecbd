//! Methods that no endpoint has, and OPTIONS: whoever asks hears the same, whatever there is.

use std::collections::BTreeSet;

use axum::http::Method;

use super::endpoints::{self, filled};
use super::rule::Place;
use super::site::{Caller, Site};
use super::{Outcome, log_end};

/// Who knows least, who may do most, and the owner of another group.
const ASKING: [&str; 3] = ["nobody", "the organization's admin", "One's admin"];

#[tokio::test]
async fn what_is_no_endpoint_is_so_for_everybody_and_about_every_group() {
    let site = Site::furnished().await;
    let before = log_end(&site).await;
    let mut outcome = Outcome::default();
    let asking: Vec<_> = site
        .callers
        .iter()
        .filter(|caller| ASKING.contains(&caller.name.as_str()))
        .collect();
    assert_eq!(asking.len(), ASKING.len());
    for (path, methods) in endpoints::paths() {
        let missing = methods.into_iter().map(|method| (method, 405));
        for (method, status) in missing.chain([(Method::OPTIONS, 204)]) {
            let answers = answers(&site, &asking, &method, &path, &mut outcome).await;
            let only = answers.first().filter(|_| answers.len() == 1);
            if only.is_none_or(|only| !only.starts_with(&status.to_string())) {
                let said = format!("{method} {path}: {status} is due: {answers:#?}");
                outcome.violations.push(said);
            }
        }
    }
    assert_eq!(log_end(&site).await, before);
    outcome.tell("cases of methods that no endpoint has");
}

async fn answers(
    site: &Site,
    asking: &[&Caller],
    method: &Method,
    path: &str,
    outcome: &mut Outcome,
) -> BTreeSet<String> {
    let mut answers = BTreeSet::new();
    for selector in &site.selectors {
        if !matches!(selector.place, Place::Other | Place::Never) || selector.by_id {
            continue;
        }
        let path = filled(path, &selector.text, |before| site.named(selector.place, before));
        for caller in asking {
            let heard = caller.asks(&site.app, method, &path).send().await;
            let allow = heard.header("allow").to_owned();
            answers.insert(format!("{} {allow} {}", heard.status, heard.text));
            outcome.cases += 1;
        }
    }
    answers
}
