//! A control plane that does what the test says, byte by byte.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tests::data_plane::{Identity, KongVersion, Pair, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Listens with the certificate of a shared pair.
pub(crate) struct ScriptedControlPlane {
    listener: TcpListener,
    tls: TlsAcceptor,
    pair: Pair,
}

impl ScriptedControlPlane {
    pub(crate) async fn listen() -> Self {
        Self::listen_with(Pair::of("kong_clustering")).await
    }

    pub(crate) async fn listen_with(pair: Pair) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("the script goes as it should");
        let key = provider
            .key_provider
            .load_private_key(key)
            .expect("the script goes as it should");
        let served = Arc::new(CertifiedKey::new(vec![pair.der()], key));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("the script goes as it should")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Served(served)));
        Self {
            listener: TcpListener::bind("127.0.0.1:0")
                .await
                .expect("the loopback interface has free ports"),
            tls: TlsAcceptor::from(Arc::new(config)),
            pair,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("the script goes as it should")
    }

    /// The settings of a node of a version that connects here.
    pub(crate) fn node(&self, version: &str) -> Settings {
        let version: KongVersion = version.parse().expect("the script goes as it should");
        Settings::new(version, self.address(), Identity::shared(&self.pair))
    }

    /// The next connection, after its TLS handshake, with its request.
    pub(crate) async fn accept(&self) -> Connection {
        let (stream, _) = self
            .listener
            .accept()
            .await
            .expect("the script goes as it should");
        let mut stream = self
            .tls
            .accept(stream)
            .await
            .expect("the script goes as it should");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("the script goes as it should"));
        }
        Connection {
            request: String::from_utf8(request).expect("the script goes as it should"),
            stream,
        }
    }

    /// The next connection whose handshake fails, with the reason.
    pub(crate) async fn fail_to_accept(&self) -> String {
        let (stream, _) = self
            .listener
            .accept()
            .await
            .expect("the script goes as it should");
        self.tls
            .accept(stream)
            .await
            .expect_err("the handshake fails")
            .to_string()
    }

    /// The next connection, upgraded, after its basic_info and its first ping; answers that ping's payload, too.
    pub(crate) async fn accept_session(&self) -> (Connection, String) {
        let mut connection = self.accept().await;
        connection.switch_protocols().await;
        let (opcode, info) = connection.frame().await;
        let info: Value = serde_json::from_slice(&info).expect("the script goes as it should");
        assert_eq!((opcode, &info["type"]), (2, &json!("basic_info")));
        let hash = connection.ping().await;
        (connection, hash)
    }
}

#[derive(Debug)]
struct Served(Arc<CertifiedKey>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// One connection of a node.
pub(crate) struct Connection {
    pub(crate) request: String,
    stream: TlsStream<TcpStream>,
}

impl Connection {
    pub(crate) async fn switch_protocols(&mut self) {
        self.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            .await;
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .await
            .expect("the script goes as it should");
        self.stream.flush().await.expect("the script goes as it should");
    }

    /// Sends a binary frame.
    pub(crate) async fn send_binary(&mut self, payload: &[u8]) {
        self.send(&header(0x82, payload.len())).await;
        self.send(payload).await;
    }

    /// Pushes a configuration; answers its hash.
    pub(crate) async fn push(&mut self, table: &Value, hash: &str) {
        self.send_binary(&gzip(&reconfigure(table, hash))).await;
    }

    /// The next frame: opcode and payload.
    pub(crate) async fn frame(&mut self) -> (u8, Vec<u8>) {
        let first = self
            .stream
            .read_u16()
            .await
            .expect("the script goes as it should");
        assert_eq!(first & 0x8080, 0x8080, "a node's frames are whole and masked");
        let length = match first & 0x7f {
            126 => u64::from(
                self.stream
                    .read_u16()
                    .await
                    .expect("the script goes as it should"),
            ),
            127 => self
                .stream
                .read_u64()
                .await
                .expect("the script goes as it should"),
            short => u64::from(short),
        };
        let mask = self
            .stream
            .read_u32()
            .await
            .expect("the script goes as it should")
            .to_be_bytes();
        let mut payload = vec![0; usize::try_from(length).expect("the script goes as it should")];
        self.stream
            .read_exact(&mut payload)
            .await
            .expect("the script goes as it should");
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        ((first >> 8) as u8 & 0x0f, payload)
    }

    /// The next frame, which is a ping; answers its payload.
    pub(crate) async fn ping(&mut self) -> String {
        let (opcode, payload) = self.frame().await;
        assert_eq!(opcode, 9, "a ping");
        String::from_utf8(payload).expect("the script goes as it should")
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&mut self) {
        let mut rest = Vec::new();
        // With a FIN alone TLS says that the end came unexpectedly.
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}

/// The first bytes of a frame that isn't masked.
pub(crate) fn header(first: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match u16::try_from(length) {
        Ok(short @ 0..=125) => header.push(short as u8),
        Ok(medium) => {
            header.push(126);
            header.extend(medium.to_be_bytes());
        }
        Err(_) => {
            header.push(127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

/// A whole message.
pub(crate) fn reconfigure(table: &Value, hash: &str) -> Value {
    let nothing = "00000000000000000000000000000000";
    json!({
        "type": "reconfigure", "timestamp": 1_795_277_548.26, "config_table": table, "config_hash": hash,
        "hashes": { "config": hash, "routes": nothing, "services": nothing, "plugins": nothing, "upstreams": nothing, "targets": nothing },
    })
}

/// One member.
pub(crate) fn gzip(message: &Value) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(message.to_string().as_bytes())
        .expect("the script goes as it should");
    encoder.finish().expect("the script goes as it should")
}

/// The document that the specification shows as accepted by real data planes.
pub(crate) fn accepted_table() -> Value {
    json!({
        "_format_version": "3.0", "_transform": false,
        "workspaces": [{"id": "0dc6f45b-8f8d-40d2-a504-473544ee190b", "name": "default", "created_at": 1_700_000_000}],
        "parameters": [{"key": "cluster_id", "value": "6e6b2f1a-0d5c-4a9f-9d55-2c1a1f6d9a11", "created_at": 1_700_000_000}],
        "services": [{"id": "11111111-1111-4111-8111-111111111111", "name": "echo", "protocol": "http", "host": "echo.internal", "port": 8080, "enabled": true, "created_at": 1_700_000_000, "updated_at": 1_700_000_000}],
        "routes": [{"id": "22222222-2222-4222-8222-222222222222", "name": "echo-route", "service": "11111111-1111-4111-8111-111111111111", "protocols": ["http", "https"], "paths": ["/echo"], "created_at": 1_700_000_000, "updated_at": 1_700_000_000}],
        "plugins": [{"id": "33333333-3333-4333-8333-333333333333", "name": "key-auth", "enabled": true, "route": "22222222-2222-4222-8222-222222222222", "config": {"key_names": ["apikey"]}, "created_at": 1_700_000_000}],
        "consumers": [{"id": "44444444-4444-4444-8444-444444444444", "username": "alice", "created_at": 1_700_000_000}],
        "keyauth_credentials": [{"id": "55555555-5555-4555-8555-555555555555", "consumer": "44444444-4444-4444-8444-444444444444", "key": "s3cr3t", "created_at": 1_700_000_000}],
    })
}
