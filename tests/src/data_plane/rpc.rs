//! JSON-RPC over `/v2/outlet`: the hello of 3.9 and 3.10, and what follows from its answer.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::basic_info::process_conf;
use super::node::{Order, Shared, attempt};
use super::observed::Protocol;
use super::settings::Settings;
use super::v1;
use super::websocket::Opcode;

/// What is asked for in the handshake, and has to come back.
const SUBPROTOCOL: &str = "kong.meta.v1";
/// The capability of the deltas.
const SYNC: &str = "kong.sync.v2";
/// The only encoding there is.
const ENCODING: &str = "x-snappy-framed";

/// One connection from the attempt to its end; answers why it ended. Without synchronisation in the answer the node opens v1 beside it.
pub(super) async fn live(
    settings: &Settings,
    connector: &TlsConnector,
    shared: &Shared,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> String {
    let target = format!("{}/v2/outlet", settings.path_prefix);
    let opened = attempt(
        settings,
        connector,
        shared,
        &target,
        Some(SUBPROTOCOL),
        Protocol::Rpc,
    )
    .await;
    let mut wire = match opened {
        Ok(wire) => wire,
        Err(reason) => return reason,
    };
    if let Err(error) = wire
        .write(Opcode::Binary, hello(settings).to_string().as_bytes())
        .await
    {
        return format!("failed to send the hello: {error}");
    }
    let answer = match wire.read().await {
        Ok(frame) if frame.opcode == Opcode::Binary => frame.payload,
        Ok(frame) => return format!("a {:?} frame instead of the answer to the hello", frame.opcode),
        Err(error) => return format!("no answer to the hello: {}", error.text()),
    };
    match capabilities(&answer) {
        Err(reason) => reason,
        Ok(offered) if settings.rpc_sync && offered.iter().any(|name| name == SYNC) => {
            "sync v2 was offered".to_owned()
        }
        // 3.9 with incremental synchronisation has no v1.
        Ok(_) if settings.rpc_sync && settings.version.is_before(3, 10) => {
            "the control plane doesn't offer kong.sync.v2".to_owned()
        }
        Ok(_) => v1::live(settings, connector, shared, orders).await,
    }
}

/// The first message, plain JSON.
fn hello(settings: &Settings) -> Value {
    let capabilities: &[&str] = if settings.rpc_sync { &[SYNC] } else { &[] };
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "kong.meta.v1.hello",
        "params": [{
            "rpc_capabilities": capabilities,
            "rpc_frame_encodings": [ENCODING],
            "kong_version": settings.version_text,
            "kong_hostname": settings.hostname,
            "kong_node_id": settings.node_id,
            "kong_conf": process_conf(settings),
        }],
    })
}

/// What the answer to the hello offers.
fn capabilities(answer: &[u8]) -> Result<Vec<String>, String> {
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| format!("the answer to the hello: {error}"))?;
    let result = &answer["result"];
    if result["rpc_frame_encoding"] != ENCODING {
        return Err(format!("the answer to the hello has another encoding: {answer}"));
    }
    let offered = result["rpc_capabilities"].as_array();
    let offered = offered.ok_or_else(|| format!("the answer to the hello has no capabilities: {answer}"))?;
    Ok(offered
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}
