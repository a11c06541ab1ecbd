//! A DB-less Kong's Admin API, as far as an agent uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// A DB-less Kong that loads everything but hosts that are called bad; its address, and how often it was asked.
pub(crate) async fn strict_kong() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = posts.clone();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            answer_one(stream).await;
        }
    });
    (url, posts)
}

async fn answer_one(mut stream: TcpStream) {
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .split("content-length: ")
            .nth(1)?
            .lines()
            .next()?
            .parse::<usize>()
            .ok()?;
        (body.len() >= length).then(|| body.to_owned())
    };
    let body = loop {
        if let Some(body) = whole(&request) {
            break body;
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    };
    let (status, answer) = if body.contains("bad.internal") {
        ("400 Bad Request", r#"{"message":"bad host"}"#)
    } else {
        ("201 Created", "{}")
    };
    let length = answer.len();
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}
