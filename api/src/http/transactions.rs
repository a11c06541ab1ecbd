//! Several entity requests as one change: `POST /transactions {message, dry_run, operations: [{method, path, body}]}`.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use domain::Kind;
use domain::group::decide::OperationResult;
use domain::group::{Action, Condition, GroupCommand, OmittedChildren, Operation, Selector, Target};
use domain::schema::Secrets;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::groups;
use super::preconditions;
use super::presentation;
use super::refusal::Refusal;
use super::streamed::StreamedObject;
use super::writes::WRITE_HEADERS;

/// How many operations that would be refused are told of at most.
const MOST_ERRORS: usize = 100;

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    Endpoint::new(
        Method::POST,
        format!("{prefix}/{{group}}/transactions"),
        Permission::WriteGroup,
        "Several entity requests as one change: all of them or none",
        transact,
    )
    .reads(&WRITE_HEADERS)
    .takes(json!({ "$ref": "#/components/schemas/Transaction" }))
    .takes_large_bodies()
    .answers(200, json!({ "$ref": "#/components/schemas/TransactionResult" }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transaction {
    message: Option<String>,
    #[serde(default)]
    dry_run: bool,
    operations: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    body: Option<Map<String, Value>>,
}

async fn transact(exchange: Exchange) -> Result<Answer, Refusal> {
    let transaction: Transaction = exchange.typed_body()?;
    if transaction.operations.is_empty() {
        return Err(Refusal::invalid(
            "operations",
            "min_items",
            "must have at least one operation",
        ));
    }
    if transaction.dry_run {
        return rehearse(&exchange, transaction.operations).await;
    }
    let operations = transaction.operations.into_iter().enumerate().map(read);
    let command = GroupCommand::Operate {
        operations: operations.collect::<Result<_, _>>()?,
        expected_version: preconditions::expected_version(&exchange.headers)?,
    };
    let with_secrets = exchange.caller()?.reads_secrets();
    let mut accepted = exchange
        .change_group_because(command, transaction.message)
        .await?;
    exchange.recall_bodies(&mut accepted).await?;
    let body = json!({
        "version": accepted.version,
        "changed": accepted.changed,
        "dry_run": false,
    });
    Ok(StreamedObject::beginning_with(&body)
        .with_list("results", shown(accepted.outcome.results, with_secrets))
        .ok()
        .tagged(accepted.version)
        .at_version(accepted.version))
}

/// What a transaction would do: every operation that would be refused is named, and the others go on without it.
async fn rehearse(exchange: &Exchange, requests: Vec<Request>) -> Result<Answer, Refusal> {
    let (mut operations, mut numbers, mut refused) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (number, request) in requests.into_iter().enumerate() {
        match read((number, request)) {
            Ok(operation) => {
                operations.push(operation);
                numbers.push(number);
            }
            Err(refusal) => {
                refused.insert(number, refusal);
            }
        }
    }
    let command = GroupCommand::Operate {
        operations,
        expected_version: preconditions::expected_version(&exchange.headers)?,
    };
    let tried = exchange.try_group(&command).await??;
    for (position, error) in &tried.refused {
        let number = numbers[*position];
        refused.insert(number, Refusal::from(error.clone()).at(&place(number)));
    }
    let with_secrets = exchange.caller()?.reads_secrets();
    let error = |(number, refusal): (&usize, &Refusal)| {
        let mut told = refusal.told();
        told["operation"] = Value::from(*number);
        told
    };
    let outcome = &tried.decision.outcome;
    let body = json!({
        "version": tried.version,
        "accepted": refused.is_empty(),
        "changed": refused.is_empty() && !tried.decision.events.is_empty(),
        "dry_run": true,
        "errors": refused.iter().take(MOST_ERRORS).map(error).collect::<Vec<_>>(),
        "refused": refused.len(),
        "nodes": exchange.hindered_nodes(&tried).await?,
    });
    let changes = EntityChanges::decided(&outcome.changes).shown(with_secrets);
    let answer = StreamedObject::beginning_with(&body)
        .with_list("results", shown(outcome.results.clone(), with_secrets))
        .with_list("changes", changes);
    Ok(answer.ok().at_version(tried.version))
}

fn place(number: usize) -> String {
    format!("operations[{number}]")
}

fn read((number, request): (usize, Request)) -> Result<Operation, Refusal> {
    operation(request).map_err(|refusal| refusal.at(&place(number)))
}

fn shown(results: Vec<OperationResult>, with_secrets: bool) -> impl Iterator<Item = Value> {
    let one = move |result: OperationResult| {
        let status = match (&result.entity, result.created) {
            (Some(_), true) => StatusCode::CREATED,
            (Some(_), false) => StatusCode::OK,
            (None, _) => StatusCode::NO_CONTENT,
        };
        let entity = result.entity.as_ref();
        let body = entity.map(|entity| presentation::body(entity, with_secrets));
        json!({ "status": status.as_u16(), "kind": result.kind, "id": result.id, "body": body })
    };
    results.into_iter().map(one)
}

fn operation(request: Request) -> Result<Operation, Refusal> {
    let target = target(&request.path)?;
    let body = request.body.unwrap_or_default();
    let action = match (request.method.to_ascii_uppercase().as_str(), &target.selector) {
        ("POST", None) => Action::Create(body),
        ("PUT", Some(_)) => Action::Put(body),
        ("PATCH", Some(_)) => Action::Patch(body),
        ("DELETE", Some(_)) => Action::Delete,
        ("POST" | "PUT" | "PATCH" | "DELETE", _) => {
            return Err(Refusal::bad_request(
                "POST goes to a collection, PUT, PATCH and DELETE to one entity: check the path",
            ));
        }
        _ => {
            return Err(Refusal::bad_request("method must be POST, PUT, PATCH or DELETE"));
        }
    };
    Ok(Operation {
        action,
        target,
        condition: Condition::Always,
        omitted_children: OmittedChildren::Keep,
        secrets: Secrets::Plain,
    })
}

/// Reads `/{collection}[/{entity}]` or `/{parents}/{parent}/{children}[/{child}]`.
fn target(path: &str) -> Result<Target, Refusal> {
    let decode = |segment: &str| {
        let decoded = percent_decode_str(segment).decode_utf8();
        decoded
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| Refusal::bad_request("the path isn't valid UTF-8 once decoded"))
    };
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments = segments.map(decode).collect::<Result<Vec<_>, _>>()?;
    let unknown = || Refusal::bad_request(format!("path '{path}' names no collection of entities or entity"));
    let (first, rest) = segments.split_first().ok_or_else(unknown)?;
    let kind = Kind::in_collection(first)
        .filter(|kind| kind.schema().served)
        .ok_or_else(unknown)?;
    let named = |segment: &String| Selector::parse(segment);
    let nested = |segment: &String| {
        Kind::nested(kind, segment)
            .filter(|child| child.schema().served)
            .ok_or_else(unknown)
    };
    match rest {
        [] => Ok(Target::flat(kind, None)),
        [entity] => Ok(Target::flat(kind, Some(named(entity)))),
        [parent, children] => Ok(Target {
            parent: Some((kind, named(parent))),
            ..Target::flat(nested(children)?, None)
        }),
        [parent, children, child] => Ok(Target {
            parent: Some((kind, named(parent))),
            ..Target::flat(nested(children)?, Some(named(child)))
        }),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_entity_endpoints() {
        let found = target("/services/a%20b/routes/r").unwrap();
        assert_eq!(found.kind.name(), "routes");
        assert_eq!(found.selector, Some(Selector::Key("r".to_owned())));
        let (parent, selector) = found.parent.unwrap();
        assert_eq!(parent.name(), "services");
        assert_eq!(selector, Selector::Key("a b".to_owned()));
        assert!(target("/services").unwrap().selector.is_none());
        for wrong in ["", "/nothing", "/services/a/targets", "/services/a/routes/r/x"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_method_must_fit_its_path() {
        let refused = |method: &str, path: &str| {
            let (method, path) = (method.to_owned(), path.to_owned());
            operation(Request {
                method,
                path,
                body: None,
            })
            .is_err()
        };
        assert!(refused("POST", "/services/a"));
        assert!(refused("PUT", "/services"));
        assert!(refused("GET", "/services/a"));
        assert!(!refused("delete", "/services/a"));
    }
}
