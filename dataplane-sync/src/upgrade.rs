//! The HTTP request that a data-plane connection begins with: read here, leniently, so that it can be judged and refused
//! with a reason before it becomes a WebSocket.
//!
//! Kong's data planes paste host names and paths into the request line as they are (`kong-hybrid-protocol.md` §1.1), so
//! the target is whatever stands between the method and the version, spaces included.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The longest request head, in bytes.
const HEAD_LIMIT: usize = 8 * 1024;

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    method: String,
    path: String,
    query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads everything before the empty line.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let (method, rest) = lines.next()?.split_once(' ')?;
        let (target, version) = rest.rsplit_once(' ')?;
        if !version.starts_with("HTTP/1.") {
            return None;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: lines
                .filter(|line| !line.is_empty())
                .map(header)
                .collect::<Option<_>>()?,
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A connection whose request has been read and not yet answered.
#[derive(Debug)]
pub struct Knock<Stream> {
    stream: Stream,
    head: Head,
    /// What came after the request already.
    rest: Vec<u8>,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Knock<Stream> {
    /// Reads the request.
    pub async fn read(mut stream: Stream) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                let head = Head::parse(&String::from_utf8_lossy(&bytes[..end]));
                let head = head.ok_or_else(|| io::Error::other("what came first isn't an HTTP request"))?;
                return Ok(Self { stream, head, rest });
            }
            if bytes.len() > HEAD_LIMIT {
                return Err(io::Error::other("the request's head is too long"));
            }
        }
    }

    /// What is done to the path: `GET`, `HEAD` …
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// What is asked for, without the query.
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// The query, as it was sent.
    pub fn query(&self) -> &str {
        &self.head.query
    }

    /// The bearer token, if one is shown.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.head.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Whether a WebSocket protocol is among those offered.
    pub fn offers(&self, protocol: &str) -> bool {
        let offered = self.head.header("sec-websocket-protocol").unwrap_or_default();
        offered.split(',').any(|one| one.trim() == protocol)
    }

    /// Makes the connection a WebSocket; answers the stream and what came on it already. No extension is ever agreed to,
    /// and a protocol only where one is named.
    pub async fn accept(mut self, protocol: Option<&str>) -> io::Result<(Stream, Vec<u8>)> {
        let upgrade = self.head.header("upgrade").unwrap_or_default();
        let Some(key) = self
            .head
            .header("sec-websocket-key")
            .filter(|_| upgrade.eq_ignore_ascii_case("websocket"))
        else {
            let reason = "this address is for WebSocket connections";
            self.refuse(426, reason).await?;
            return Err(io::Error::other(reason));
        };
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n",
            derive_accept_key(key.as_bytes())
        );
        if let Some(protocol) = protocol {
            answer.push_str(&format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
        }
        answer.push_str("\r\n");
        self.stream.write_all(answer.as_bytes()).await?;
        self.stream.flush().await?;
        Ok((self.stream, self.rest))
    }

    /// Answers with a status and the reason, and closes.
    pub async fn refuse(mut self, status: u16, reason: &str) -> io::Result<()> {
        let phrase = match status {
            400 => "Bad Request",
            401 => "Unauthorized\r\nwww-authenticate: Bearer",
            403 => "Forbidden",
            404 => "Not Found",
            426 => "Upgrade Required\r\nupgrade: websocket",
            _ => "Service Unavailable\r\nretry-after: 2",
        };
        let body = match self.head.method.as_str() {
            "HEAD" => String::new(),
            _ => serde_json::json!({ "status": status, "detail": reason }).to_string(),
        };
        let answer = format!(
            "HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(answer.as_bytes()).await?;
        self.stream.shutdown().await
    }

    /// Closes without a word.
    pub async fn drop_silently(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_read_as_data_planes_send_it() {
        let text = "GET /tenant/v1/outlet?node_id=1&node_hostname=my host&node_version=3.9.1 HTTP/1.1\r\nHost: cp:8005\r\nUPGRADE: websocket";
        let head = Head::parse(text).unwrap();
        assert_eq!(head.method, "GET");
        assert_eq!(head.path, "/tenant/v1/outlet");
        assert_eq!(head.query, "node_id=1&node_hostname=my host&node_version=3.9.1");
        assert_eq!(head.header("upgrade"), Some("websocket"));
    }

    #[test]
    fn what_is_not_http_is_not_a_request() {
        for text in ["", "GET", "GET /", "GET / FTP/1.1", "GET / HTTP/1.1\r\nno colon"] {
            assert_eq!(Head::parse(text), None, "{text}");
        }
    }
}
