//! Every endpoint of the document, and what stands in the place of its parameters.

use std::collections::BTreeSet;

use axum::http::Method;

use super::rule::{Due, Home, May, Needs, Place};
use super::site::Selector;

/// One method on one path of the document.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) needs: Needs,
}

/// Every endpoint, and HEAD where there is GET.
pub(super) fn all() -> Vec<Endpoint> {
    let document = api::http::openapi_document();
    let mut endpoints = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let needs = Needs::of(&method, path);
            let said = operation["description"].as_str().unwrap();
            assert_eq!(said, format!("Permission: {}.", needs.words()), "{method} {path}");
            let methods = match method {
                Method::GET => vec![Method::GET, Method::HEAD],
                method => vec![method],
            };
            endpoints.extend(methods.into_iter().map(|method| Endpoint {
                method,
                path: path.clone(),
                needs,
            }));
        }
    }
    endpoints
}

/// Every path of the document with the methods that it has none of.
pub(super) fn paths() -> Vec<(String, Vec<Method>)> {
    let document = api::http::openapi_document();
    let paths = document["paths"].as_object().unwrap().iter();
    let every = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::TRACE,
    ];
    let missing = |operations: &serde_json::Value| {
        let had: BTreeSet<_> = operations.as_object().unwrap().keys().cloned().collect();
        let is_missing = |method: &&Method| !had.contains(&method.as_str().to_lowercase());
        every.iter().filter(is_missing).cloned().collect()
    };
    paths
        .map(|(path, operations)| (path.clone(), missing(operations)))
        .collect()
}

impl Endpoint {
    /// Its path, with the group called so and each other parameter named by the one segment before it.
    pub(super) fn filled(&self, group: &str, named: impl Fn(&str) -> String) -> String {
        filled(&self.path, group, named)
    }

    /// What somebody has to hear who names a group in it.
    pub(super) fn due(&self, may: May, selector: &Selector) -> Due {
        let Selector { place, by_id, .. } = *selector;
        let names_ours = self.path.contains('{') && !self.path.contains("{version}");
        match (self.needs, may) {
            // What is the organization's, another one doesn't have.
            (
                Needs::Organization { .. },
                May::Act {
                    home: Home::OtherOrganization,
                    ..
                },
            ) if names_ours && place != Place::Foreign => Due::Missing,
            _ => self.needs.due(may, place, by_id),
        }
    }

    /// Whether it finds groups that are deleted, and those only, by their ids.
    pub(super) fn is_about_deleted_groups(&self) -> bool {
        self.path.ends_with("{group}/restore") || self.path.ends_with("{group}/purge")
    }

    /// Whether it names something that a group has.
    pub(super) fn names_something(&self) -> bool {
        let parameters = ["{entity}", "{child}", "{node}", "{certificate}", "{tag}"];
        parameters.iter().any(|parameter| self.path.contains(parameter))
    }
}

/// A path of the document with values in the place of its parameters.
pub(super) fn filled(path: &str, group: &str, named: impl Fn(&str) -> String) -> String {
    let segments: Vec<_> = path.split('/').collect();
    let before = |place: usize| segments[place.saturating_sub(1)];
    let filled = segments
        .iter()
        .enumerate()
        .map(|(place, segment)| match *segment {
            "{group}" => group.to_owned(),
            "{version}" => "1".to_owned(),
            "{address}" => "192.0.2.1:80".to_owned(),
            "{name}" => match before(place) {
                "json" => "service".to_owned(),
                "vaults" => "env".to_owned(),
                _ => "cors".to_owned(),
            },
            "{entity}" if before(place) == "schemas" => "services".to_owned(),
            parameter if parameter.starts_with('{') => named(before(place)),
            segment => segment.to_owned(),
        });
    filled.collect::<Vec<_>>().join("/")
}
