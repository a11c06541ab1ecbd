//! The HTTP request with which a data plane begins, byte for byte as Kong's WebSocket client writes it, and the head of the answer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A head longer than this is none.
const LONGEST_HEAD: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.1 101 Switching Protocols`.
    pub status_line: String,
    /// Names in lower case with their values, in order.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The number in the status line; 0 when there is none.
    pub fn status(&self) -> u16 {
        let number = self.status_line.split(' ').nth(1);
        number.and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The request for a WebSocket at `target` (path and query, not URL-encoded: the node doesn't either). `host` is what was configured,
/// `subprotocol` is asked for if there is one.
pub fn websocket_request(target: &str, host: &str, subprotocol: Option<&str>) -> String {
    let asked = match subprotocol {
        Some(name) => format!("Sec-WebSocket-Protocol: {name}\r\n"),
        None => String::new(),
    };
    // Neither `Origin` nor `User-Agent`, no extensions; the order is the client's.
    format!(
        "GET {target} HTTP/1.1\r\nUpgrade: websocket\r\nHost: {host}\r\nSec-WebSocket-Key: uBATEKb6aS+SFpbr8IusKQ==\r\n{asked}Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n\r\n"
    )
}

/// The probe of a 3.0 node: an HTTPS client of its own asks whether there is wRPC.
pub fn wrpc_probe(prefix: &str, host: &str) -> String {
    format!(
        "HEAD {prefix}/v1/wrpc HTTP/1.1\r\nUser-Agent: lua-resty-http/0.16.1 (Lua) ngx_lua/10021\r\nHost: {host}\r\n\r\n"
    )
}

/// Writes a request and reads the head of the answer; `limit` is the time for each read.
pub async fn exchange<Stream: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream,
    request: &str,
    limit: Duration,
) -> Result<Head, String> {
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| format!("failed to send the handshake request: {error}"))?;
    stream
        .flush()
        .await
        .map_err(|error| format!("failed to send the handshake request: {error}"))?;
    let mut head = Vec::new();
    // Byte by byte, so that nothing of what follows the head is taken.
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(limit, stream.read_u8()).await;
        let byte = byte
            .map_err(|_| "timeout while receiving the response header")?
            .map_err(|error| format!("failed to receive the response header: {error}"))?;
        head.push(byte);
        if head.len() > LONGEST_HEAD {
            return Err("the response header has no end".to_owned());
        }
    }
    parse(&head)
}

fn parse(head: &[u8]) -> Result<Head, String> {
    let text = std::str::from_utf8(head).map_err(|_| "the response header isn't text")?;
    let mut lines = text.trim_end().split("\r\n");
    let status_line = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    Ok(Head {
        status_line,
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
    })
}
