//! The HTTP request that a data-plane connection begins with: read here, so that it can be judged and refused with a
//! reason before it becomes a WebSocket.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The longest request head, in bytes.
const HEAD_LIMIT: usize = 8 * 1024;

/// A connection whose request has been read and not yet answered.
#[derive(Debug)]
pub struct Knock<Stream> {
    stream: Stream,
    request: Request,
    /// What came after the request already.
    rest: Vec<u8>,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Knock<Stream> {
    /// Reads the request.
    pub async fn read(mut stream: Stream) -> io::Result<Self> {
        let mut head = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let parsed = Request::try_parse(&head).map_err(io::Error::other)?;
            if let Some((length, request)) = parsed {
                let rest = head.split_off(length);
                return Ok(Self {
                    stream,
                    request,
                    rest,
                });
            }
            if head.len() > HEAD_LIMIT {
                return Err(io::Error::other("the request's head is too long"));
            }
        }
    }

    /// What is asked for, without the query.
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// The bearer token, if one is shown.
    pub fn bearer(&self) -> Option<&str> {
        let header = self.request.headers().get("authorization")?.to_str().ok()?;
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Takes the connection as a WebSocket.
    pub async fn accept(mut self, config: WebSocketConfig) -> io::Result<WebSocketStream<Stream>> {
        let response = match create_response(&self.request) {
            Ok(response) => response,
            Err(error) => {
                let reason = format!("this address is for WebSocket connections: {error}");
                self.refuse(426, &reason).await?;
                return Err(io::Error::other(reason));
            }
        };
        let mut head = Vec::with_capacity(256);
        write_response(&mut head, &response).map_err(io::Error::other)?;
        self.stream.write_all(&head).await?;
        self.stream.flush().await?;
        Ok(WebSocketStream::from_partially_read(self.stream, self.rest, Role::Server, Some(config)).await)
    }

    /// Answers with a status and the reason, and closes.
    pub async fn refuse(mut self, status: u16, reason: &str) -> io::Result<()> {
        let phrase = match status {
            401 => "Unauthorized\r\nwww-authenticate: Bearer",
            403 => "Forbidden",
            404 => "Not Found",
            426 => "Upgrade Required\r\nupgrade: websocket",
            _ => "Service Unavailable\r\nretry-after: 2",
        };
        let body = serde_json::json!({ "status": status, "detail": reason }).to_string();
        let answer = format!(
            "HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(answer.as_bytes()).await?;
        self.stream.shutdown().await
    }
}
