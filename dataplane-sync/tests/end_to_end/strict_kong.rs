//! A DB-less Kong's Admin API, as far as an agent uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// A DB-less Kong that loads everything but hosts that are called bad.
pub(crate) struct StrictKong {
    /// Its Admin API.
    pub(crate) url: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    posts: AtomicUsize,
    has_configuration: AtomicBool,
}

impl StrictKong {
    /// Starts it, without a configuration.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::<Inner>::default();
        let kong = Arc::clone(&inner);
        TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kong.answer(stream).await;
            }
        });
        Self { url, inner }
    }

    /// How often it was given a configuration.
    pub(crate) fn posts(&self) -> usize {
        self.inner.posts.load(Ordering::Relaxed)
    }

    /// Forgets its configuration, as a restarted Kong has.
    pub(crate) fn restart(&self) {
        self.inner.has_configuration.store(false, Ordering::Relaxed);
    }
}

impl Inner {
    async fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let (head, body) = loop {
            if let Some(whole) = whole(&request) {
                break whole;
            }
            if stream.read_buf(&mut request).await.unwrap() == 0 {
                return;
            }
        };
        let (status, answer) = if head.starts_with("get /status ") {
            let has = self.has_configuration.load(Ordering::Relaxed);
            let hash = if has { "1".repeat(32) } else { "0".repeat(32) };
            ("200 OK", format!(r#"{{"configuration_hash":"{hash}"}}"#))
        } else {
            self.posts.fetch_add(1, Ordering::Relaxed);
            if body.contains("bad.internal") {
                ("400 Bad Request", r#"{"message":"bad host"}"#.to_owned())
            } else {
                self.has_configuration.store(true, Ordering::Relaxed);
                ("201 Created", "{}".to_owned())
            }
        };
        let length = answer.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// A request's head and body, once they are there.
fn whole(request: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.split("content-length: ").nth(1);
    let length = length.map_or("0", |rest| rest.lines().next().unwrap_or("0"));
    (body.len() >= length.parse().ok()?).then(|| (head.to_owned(), body.to_owned()))
}
