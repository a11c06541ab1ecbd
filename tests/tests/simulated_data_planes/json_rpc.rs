//! `/v2/outlet`, from the hello to deltas.

use serde_json::{Value, json};
use tests::data_plane::{DataPlane, Protocol, Settings};

use crate::scripted_control_plane::{Connection, ScriptedControlPlane, accepted_table};

const VERSION: &str = "v02_0000000000000000000000000007";
const WORKSPACE: &str = "0dc6f45b-8f8d-40d2-a504-473544ee190b";

/// A node with `cluster_rpc_sync`.
fn synchronised(control_plane: &ScriptedControlPlane, version: &str) -> Settings {
    Settings {
        rpc: true,
        rpc_sync: true,
        ..control_plane.node(version)
    }
}

/// The next connection on `/v2/outlet`, whose hello was answered with these capabilities.
async fn greeted(control_plane: &ScriptedControlPlane, capabilities: &[&str]) -> Connection {
    let mut connection = control_plane.accept().await;
    assert!(
        connection.request.starts_with("GET /v2/outlet HTTP/1.1\r\n"),
        "no query"
    );
    assert!(
        connection
            .request
            .contains("Sec-WebSocket-Protocol: kong.meta.v1\r\n")
    );
    connection
        .send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: kong.meta.v1\r\n\r\n")
        .await;
    let (_, hello) = connection.frame().await;
    let hello: Value = serde_json::from_slice(&hello).expect("the hello is plain JSON");
    assert_eq!(hello["method"], "kong.meta.v1.hello");
    let result = json!({ "rpc_capabilities": capabilities, "rpc_frame_encoding": "x-snappy-framed" });
    let answer = json!({ "jsonrpc": "2.0", "id": hello["id"], "result": result });
    connection.send_binary(answer.to_string().as_bytes()).await;
    connection
}

/// The next message.
async fn hear(connection: &mut Connection) -> Value {
    let (opcode, payload) = connection.frame().await;
    assert_eq!(opcode, 2);
    let text = snap::raw::Decoder::new()
        .decompress_vec(&payload)
        .expect("a block of Snappy");
    serde_json::from_slice(&text).expect("a message is JSON")
}

async fn say(connection: &mut Connection, message: &Value) {
    let text = message.to_string();
    let block = snap::raw::Encoder::new()
        .compress_vec(text.as_bytes())
        .expect("text is compressible");
    connection.send_binary(&block).await;
}

/// The accepted document as deltas; foreign keys as `reference` writes them.
fn deltas(reference: impl Fn(&Value) -> Value) -> Vec<Value> {
    let table = accepted_table();
    let collections = table.as_object().expect("a table is an object").iter();
    let entities = collections.filter_map(|(kind, entities)| Some((kind, entities.as_array()?)));
    let mut deltas = Vec::new();
    for (kind, entities) in entities {
        for entity in entities {
            let mut entity = entity.clone();
            for field in ["service", "route", "consumer"] {
                if entity[field].is_string() {
                    entity[field] = reference(&entity[field]);
                }
            }
            deltas.push(json!({ "type": kind, "version": VERSION, "ws_id": WORKSPACE, "entity": entity }));
        }
    }
    deltas
}

#[tokio::test]
async fn without_an_offer_3_10_opens_v1_beside_it_and_3_9_does_not() {
    let control_plane = ScriptedControlPlane::listen().await;
    let node = DataPlane::start(synchronised(&control_plane, "3.10.0"));
    let _v2 = greeted(&control_plane, &[]).await;
    control_plane.accept_session().await;
    assert_eq!(node.observed().protocol, Some(Protocol::V1));
    let older = DataPlane::start(synchronised(&control_plane, "3.9.1"));
    let _v2 = greeted(&control_plane, &[]).await;
    older
        .sees("has given up", |observed| observed.endings.first().cloned())
        .await;
    assert_eq!(older.observed().protocol, Some(Protocol::Rpc));
}

#[tokio::test]
async fn a_refused_handshake_is_tried_again_and_never_leads_to_v1() {
    let control_plane = ScriptedControlPlane::listen().await;
    let _node = DataPlane::start(synchronised(&control_plane, "3.10.0"));
    for _ in 0..3 {
        let mut connection = control_plane.accept().await;
        assert!(connection.request.starts_with("GET /v2/outlet "));
        connection
            .send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .await;
    }
}

#[tokio::test]
async fn deltas_are_asked_for_with_id_0_applied_whole_and_then_reported_without_an_id() {
    let control_plane = ScriptedControlPlane::listen().await;
    let node = DataPlane::start(synchronised(&control_plane, "3.10.0"));
    let mut connection = greeted(&control_plane, &["kong.sync.v2"]).await;
    let request = hear(&mut connection).await;
    assert_eq!(
        (&request["id"], &request["method"]),
        (&json!(0), &json!("kong.sync.v2.get_delta"))
    );
    let result = json!({ "default": { "full_sync": true, "deltas": deltas(|id| json!({ "id": id })) } });
    say(
        &mut connection,
        &json!({ "jsonrpc": "2.0", "id": 0, "result": result }),
    )
    .await;
    let report = hear(&mut connection).await;
    assert_eq!(
        (report.get("id"), &report["params"][0]["default"]["version"]),
        (None, &json!(VERSION))
    );
    let applied = node.applied().await;
    assert!(applied.find("consumers", "alice").is_some());

    let newer = "v02_0000000000000000000000000008";
    let news = json!({ "jsonrpc": "2.0", "id": 1, "method": "kong.sync.v2.notify_new_version", "params": [{ "default": { "new_version": newer } }] });
    say(&mut connection, &news).await;
    assert_eq!(hear(&mut connection).await["result"], true);
    let request = hear(&mut connection).await;
    assert_eq!(request["params"][0]["default"]["version"], VERSION);
    let gone = json!({ "type": "keyauth_credentials", "version": newer, "ws_id": WORKSPACE, "entity": null, "pk": { "id": "55555555-5555-4555-8555-555555555555" } });
    let result = json!({ "default": { "full_sync": false, "deltas": [gone] } });
    say(
        &mut connection,
        &json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
    )
    .await;
    hear(&mut connection).await;
    let applied = node.applied().await;
    assert_eq!(
        (applied.hash.as_str(), applied.all("keyauth_credentials").len()),
        (newer, 0)
    );
}

#[tokio::test]
async fn a_foreign_key_that_is_a_string_refuses_all_of_the_deltas_and_says_so() {
    let control_plane = ScriptedControlPlane::listen().await;
    let node = DataPlane::start(synchronised(&control_plane, "3.10.0"));
    let mut connection = greeted(&control_plane, &["kong.sync.v2"]).await;
    let request = hear(&mut connection).await;
    let result = json!({ "default": { "full_sync": true, "deltas": deltas(Value::clone) } });
    say(
        &mut connection,
        &json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
    )
    .await;
    let report = hear(&mut connection).await;
    assert_eq!(
        (report.get("id"), &report["method"]),
        (None, &json!("kong.sync.v2.notify_validation_error"))
    );
    assert_eq!(report["params"][0]["error"]["code"], 21);
    assert!(node.observed().applied.is_none());
}
