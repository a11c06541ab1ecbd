//! A door with TLS in front of a plain address, with a certificate of its own for `localhost`.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::port::Port;

/// The door; closed with its connections when dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: Port,
    certificate: String,
    _tasks: JoinSet<()>,
}

impl TlsFront {
    /// Opens a door to what listens at an address without TLS.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn before(to: SocketAddr) -> Self {
        let certified =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name can be certified");
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has today's versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .expect("the key is the certificate's");
        let port = Port::reserve();
        let listener = std::net::TcpListener::bind(port.address()).expect("a reserved port is free");
        listener.set_nonblocking(true).expect("a socket can be switched");
        let listener = TcpListener::from_std(listener).expect("a door is opened inside a runtime");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), to));
        Self {
            port,
            certificate: certified.cert.pem(),
            _tasks: tasks,
        }
    }

    /// Where it is, by the name in its certificate: `localhost:<port>`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port.number())
    }

    /// Its certificate, which signs itself, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let tls = tls.clone();
        connections.spawn(async move {
            if let (Ok(mut client), Ok(mut server)) = (tls.accept(client).await, TcpStream::connect(to).await)
            {
                // Either side may end the connection whenever it likes.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
