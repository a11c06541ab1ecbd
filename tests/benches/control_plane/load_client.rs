//! A keep-alive HTTP/1.1 connection that costs as little as possible: the load shares the server's cores.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct LoadClient {
    stream: TcpStream,
    host: String,
    token: String,
    buffer: Vec<u8>,
    body: usize,
}

impl LoadClient {
    /// Connects to `host:port`.
    pub(crate) async fn connect(host: &str, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: host.to_owned(),
            token: token.to_owned(),
            buffer: Vec::with_capacity(16 * 1024),
            body: 0,
        })
    }

    /// Sends a request and answers the status once the whole answer has come.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<u16> {
        self.send_as(method, path, "application/json", body).await
    }

    /// The same with a body of another media type.
    pub(crate) async fn send_as(
        &mut self,
        method: &str,
        path: &str,
        media_type: &str,
        body: &str,
    ) -> anyhow::Result<u16> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            self.token,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    /// The last answer's body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.body..]
    }

    async fn answer(&mut self) -> anyhow::Result<u16> {
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&self.buffer[..end])?;
            let status = head
                .get(9..12)
                .and_then(|status| status.parse().ok())
                .context("no status line")?;
            let length = content_length(head)?;
            self.body = end + 4;
            match length {
                Some(length) => self.read_until(self.body + length).await?,
                None => self.read_chunks().await?,
            }
            return Ok(status);
        }
    }

    /// Reads until the buffer has so many bytes.
    async fn read_until(&mut self, bytes: usize) -> anyhow::Result<()> {
        while self.buffer.len() < bytes {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection in an answer");
            }
        }
        Ok(())
    }

    /// Reads a body whose length isn't known beforehand, and leaves what it says in the buffer.
    async fn read_chunks(&mut self) -> anyhow::Result<()> {
        let (mut next, mut body) = (self.body, Vec::new());
        loop {
            let line = loop {
                match find(&self.buffer[next..], b"\r\n") {
                    Some(length) => break next..next + length,
                    None => self.read_until(self.buffer.len() + 1).await?,
                }
            };
            let begin = line.end + 2;
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[line])?, 16)?;
            next = begin + size + 2;
            self.read_until(next).await?;
            if size == 0 {
                self.buffer.truncate(self.body);
                self.buffer.append(&mut body);
                return Ok(());
            }
            body.extend_from_slice(&self.buffer[begin..begin + size]);
        }
    }
}

/// None where the body comes in chunks.
fn content_length(head: &str) -> anyhow::Result<Option<usize>> {
    let named = |line: &&str| {
        line.get(..15)
            .is_some_and(|name| name.eq_ignore_ascii_case("content-length:"))
    };
    match head.lines().find(named) {
        Some(line) => Ok(Some(line[15..].trim().parse()?)),
        None if head.contains(" 204 ") || head.contains(" 304 ") => Ok(Some(0)),
        None if head.to_ascii_lowercase().contains("transfer-encoding: chunked") => Ok(None),
        None => bail!("an answer without Content-Length: {head}"),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
