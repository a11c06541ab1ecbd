//! The OpenAPI 3.1 document, made from the table of endpoints and the kinds' schemas.

use std::sync::LazyLock;

use bytes::Bytes;
use domain::Kind;
use domain::schema::json_schema;
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, Permission};
use super::endpoints;
use super::refusal::Form;

/// The document's text.
pub(crate) fn text() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    TEXT.clone()
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints::all() {
        let path = paths
            .entry(endpoint.path.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(&endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Runtime Manager",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A control plane for fleets of API gateways: every change is recorded, nothing is forgotten.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let success = &endpoint.success;
    let mut answer = json!({ "description": "all is well" });
    if !success.schema.is_null() {
        answer["content"] = json!({ success.media_type: { "schema": success.schema } });
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "description": format!("Permission: {}.", endpoint.permission.description()),
        "parameters": parameters(endpoint),
        "responses": { success.status.to_string(): answer, "default": refusal(endpoint.form) },
    });
    if endpoint.permission == Permission::Public {
        operation["security"] = json!([]);
    }
    if let Some(body) = &endpoint.request {
        let content = body.media_types.iter();
        let content: Map<_, _> = content
            .map(|media| ((*media).to_owned(), json!({ "schema": body.schema })))
            .collect();
        operation["requestBody"] = json!({ "content": content });
    }
    operation
}

fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint
        .path
        .split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!(
        "{}_{}",
        endpoint.method.as_str().to_ascii_lowercase(),
        words.join("_")
    )
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = endpoint.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
    });
    let read = endpoint.parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name.trim_end_matches('['),
            "in": parameter.place,
            "description": parameter.description,
            "schema": { "type": "string" },
        })
    });
    in_path.chain(read).collect()
}

fn refusal(form: Form) -> Value {
    let (media, schema) = match form {
        Form::Problem => ("application/problem+json", "Problem"),
        Form::Kong => ("application/json", "KongError"),
    };
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": "refused: what, where and how to mend it", "content": { media: { "schema": schema } } })
}

fn schemas() -> Map<String, Value> {
    let kinds = Kind::all().map(|kind| (kind.name().to_owned(), json_schema(kind)));
    let ours = match own_schemas() {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    };
    kinds.chain(ours).collect()
}

fn page_of(schema: &str) -> Value {
    let items = json!({ "$ref": format!("#/components/schemas/{schema}") });
    let number = json!({ "type": "integer" });
    let page = json!({ "type": "object", "properties": {
            "number": number, "size": number, "total": number, "next": { "type": ["string", "null"] },
        } });
    json!({
        "type": "object",
        "properties": {
            "data": { "type": "array", "items": items },
            "meta": { "type": "object", "properties": { "page": page } },
        },
    })
}

fn own_schemas() -> Value {
    let text = json!({ "type": "string" });
    let nullable = json!({ "type": ["string", "null"] });
    let whole = json!({ "type": "integer" });
    let time = json!({ "type": "string", "format": "date-time" });
    let labels = json!({ "type": "object", "additionalProperties": text });
    let auth_type = json!({ "enum": ["pinned_client_certs", "pki_client_certs"] });
    let runtime_type = json!({ "enum": ["kong-gateway", "native", null] });
    let entity =
        json!({ "type": ["object", "null"], "properties": { "kind": text, "id": text, "name": nullable } });
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    let left_out =
        json!({ "type": "array", "items": object(json!({ "kind": text, "id": text, "reason": text })) });
    let hindered = json!({ "type": "array", "items": object(json!({
        "id": text, "hostname": text, "version": text, "total": whole,
        "findings": { "type": "array", "items": { "type": "object" } },
    })) });
    let proxy_url = object(json!({ "host": text, "port": whole, "protocol": text }));
    let proxy_urls = json!({ "type": "array", "items": proxy_url });
    let config = object(json!({
        "control_plane_endpoint": text, "telemetry_endpoint": text, "cluster_type": text,
        "auth_type": auth_type, "cloud_gateway": { "type": "boolean" }, "proxy_urls": proxy_urls,
    }));
    let operation = object(json!({ "method": text, "path": text, "body": { "type": "object" } }));
    let result =
        object(json!({ "status": whole, "kind": text, "id": text, "body": { "type": ["object", "null"] } }));
    let event = object(json!({
        "what": text, "kind": text, "id": text, "name": nullable, "cause": text,
        "changed": { "type": "array", "items": text },
    }));
    let body = json!({ "type": ["object", "null"] });
    let field = object(json!({ "path": text, "before": true, "after": true }));
    let change = object(json!({
        "what": { "enum": ["created", "updated", "deleted"] }, "kind": text, "id": text, "name": nullable,
        "changed": { "type": "array", "items": text }, "fields": { "type": "array", "items": field },
        "before": body, "after": body,
    }));
    let changes = json!({ "type": "array", "items": change });
    let node_certificate = object(json!({
        "id": text, "name": nullable, "cert": text, "created_at": whole, "updated_at": whole, "fingerprint": text,
        "subject": text, "serial": text, "is_ca": { "type": "boolean" }, "expires_at": whole,
        "warnings": { "type": "array", "items": text },
    }));
    json!({
        "Problem": object(json!({
            "status": whole, "title": text, "type": text, "instance": text, "detail": text,
            "invalid_parameters": { "type": "array", "items": object(json!({ "field": text, "rule": text, "reason": text })) },
            "conflicts": { "type": "array", "items": object(json!({
                "kind": text, "id": text, "name": nullable, "field": nullable, "reason": text,
                "version": { "type": ["integer", "null"] }, "by": entity, "detail": text,
            })) },
        })),
        "KongError": object(json!({ "code": whole, "name": text, "message": text, "fields": { "type": "object" } })),
        "RuntimeGroup": object(json!({
            "id": text, "name": text, "description": nullable, "labels": labels, "config": config,
            "runtime_type": runtime_type, "version": whole, "entities": { "type": "object", "additionalProperties": whole },
            "created_at": time, "updated_at": time,
            "deleted_at": time, "purge_at": nullable, "purged_at": nullable,
        })),
        "RuntimeGroupPage": page_of("RuntimeGroup"),
        "NewRuntimeGroup": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": false,
            "properties": {
                "name": text, "description": nullable, "labels": labels, "auth_type": auth_type,
                "cluster_type": text, "cloud_gateway": { "type": "boolean" }, "proxy_urls": proxy_urls,
                "runtime_type": runtime_type,
            },
        },
        "RuntimeGroupChange": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "name": text, "description": nullable, "labels": labels, "auth_type": auth_type,
                "proxy_urls": proxy_urls,
            },
        },
        "Token": object(json!({
            "id": text, "name": text, "role": { "enum": ["admin", "viewer", "instance"] }, "group": nullable,
            "created_at": time, "expires_at": nullable, "revoked_at": nullable, "token": text,
        })),
        "TokenPage": page_of("Token"),
        "NewToken": {
            "type": "object",
            "required": ["name", "role"],
            "additionalProperties": false,
            "properties": {
                "name": text, "role": { "enum": ["admin", "viewer", "instance"] }, "group": nullable,
                "expires_at": nullable,
            },
        },
        "NodeCertificate": node_certificate,
        "NewNodeCertificate": {
            "type": "object",
            "required": ["cert"],
            "additionalProperties": false,
            "properties": {
                "cert": text, "name": nullable,
                "proof": {
                    "type": "object",
                    "required": ["challenge", "signature"],
                    "additionalProperties": false,
                    "properties": { "challenge": text, "signature": text },
                },
            },
        },
        "CertificateChallenge": object(json!({ "challenge": text, "expires_at": whole })),
        "NewNode": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "platform": { "enum": ["docker", "linux", "kubernetes", "kong-conf", "agent", null] },
                "version": nullable, "name": nullable,
            },
        },
        "NodeCertificateRequest": {
            "type": "object",
            "additionalProperties": false,
            "properties": { "name": nullable, "days": whole },
        },
        "IssuedNodeCertificate": object(json!({
            "item": node_certificate, "cert": text, "key": text, "ca": text,
        })),
        "Node": node(),
        "Rollout": object(json!({
            "version": whole, "state": { "enum": ["live", "pending", "refused", "withheld"] },
            "connected": whole, "current": whole,
            "nodes": { "type": "array", "items": object(json!({
                "id": text, "hostname": text, "state": text, "version": whole, "reason": nullable,
            })) },
        })),
        "Change": object(json!({
            "version": whole, "at": time, "actor": { "type": "object" }, "message": nullable, "request_id": nullable,
            "source": nullable, "digest": nullable, "erased": { "type": "boolean" }, "event_count": whole,
            "events": { "type": "array", "items": event }, "changes": changes,
            "meta": object(json!({ "page": object(json!({ "size": whole, "next": nullable })) })),
        })),
        "ChangePage": page_of("Change"),
        "OrganizationChange": object(json!({
            "version": whole, "at": time, "actor": { "type": "object" }, "message": nullable, "request_id": nullable,
            "source": nullable, "event_count": whole, "events": { "type": "array", "items": event },
            "changes": { "type": "array", "items": object(json!({
                "what": text, "kind": text, "id": text, "name": nullable, "changed": { "type": "array", "items": text },
                "before": body, "after": body,
            })) },
        })),
        "ChangeReport": object(json!({
            "version": whole, "changed": { "type": "boolean" }, "dry_run": { "type": "boolean" },
            "changes": changes, "left_out": left_out, "nodes": hindered,
        })),
        "Difference": object(json!({
            "from": whole, "to": { "type": ["integer", "null"] }, "with": { "type": "object" },
            "node": { "type": "object" }, "secrets_compared": { "type": "boolean" }, "changes": changes,
        })),
        "Transaction": object(json!({
            "message": text, "dry_run": { "type": "boolean" },
            "operations": { "type": "array", "items": operation, "minItems": 1 },
        })),
        "TransactionResult": object(json!({
            "version": whole, "changed": { "type": "boolean" }, "dry_run": { "type": "boolean" },
            "results": { "type": "array", "items": result }, "accepted": { "type": "boolean" }, "changes": changes,
            "errors": { "type": "array", "items": { "$ref": "#/components/schemas/RefusedOperation" } }, "nodes": hindered,
            "refused": whole,
        })),
        "RefusedOperation": {
            "allOf": [{ "$ref": "#/components/schemas/Problem" }],
            "type": "object",
            "properties": { "operation": whole },
        },
    })
}

/// A runtime instance: what every one has, and what only Kong's have.
fn node() -> Value {
    let (text, whole, nullable) = (
        json!({ "type": "string" }),
        json!({ "type": "integer" }),
        json!({ "type": ["string", "null"] }),
    );
    let time = json!({ "type": "string", "format": "date-time" });
    let maybe = json!({ "type": ["object", "null"] });
    let labels = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let list = |item: &Value| json!({ "type": "array", "items": item });
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    let protocol = json!({ "enum": ["native", "kong-v1", "kong-wrpc", "kong-sync-v2"] });
    let compatibility =
        object(json!({ "state": text, "findings": list(&json!({ "type": "object" })), "total": whole }));
    let connection = object(json!({ "is_connected": { "type": "boolean" } }));
    let mut node = json!({
        "id": text, "group": text, "hostname": text, "version": text, "address": text, "labels": labels,
        "credential": text, "process": text, "protocol": protocol, "type": { "enum": ["native", "kong-proxy"] },
        "status": text, "first_seen": time, "last_seen": time, "connected_since": nullable,
        "applied": maybe, "applied_version": { "type": ["integer", "null"] }, "expected": maybe,
        "refusal": maybe, "refusals": whole, "last_error": nullable,
    });
    let of_kong = json!({
        "last_ping": whole, "created_at": whole, "updated_at": whole, "connection_state": connection,
        "config_hash": text, "expected_config_hash": nullable, "sync_status": text,
        "compatibility_status": compatibility, "withheld": maybe, "data_plane_cert_id": nullable,
        "cert_details": maybe, "process_conf": maybe, "errors": list(&json!({})), "rpc_capabilities": list(&text),
    });
    for (field, schema) in of_kong.as_object().into_iter().flatten() {
        node[field] = schema.clone();
    }
    object(node)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_has_an_entry_of_its_own() {
        let document = document();
        let mut ids = BTreeSet::new();
        let mut counted = 0;
        for endpoint in endpoints::all() {
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let entry = &document["paths"][&endpoint.path][&method];
            assert!(entry.is_object(), "{method} {}", endpoint.path);
            assert!(
                ids.insert(entry["operationId"].as_str().unwrap().to_owned()),
                "{method} {} has another one's operationId",
                endpoint.path
            );
            counted += 1;
        }
        let entries = document["paths"].as_object().unwrap().values();
        let entries: usize = entries.map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(entries, counted);
    }

    #[test]
    fn every_schema_that_is_referred_to_exists() {
        let document = document();
        let text = document.to_string();
        for piece in text.split("#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
