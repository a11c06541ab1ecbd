//! The floor under a push: a frame of a delta's size to each of as many TLS connections, an answer of an acknowledgement's size
//! from each, and nothing else. The writing end is a process of its own, as servers are: this program again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;
use tokio_rustls::server;

use crate::cpu_shares::{Meter, Party};
use crate::push::{SPACING, WARM_UP};
use crate::{report, tls_client};

/// About what an acknowledgement has in bytes.
const ANSWER: usize = 60;
/// Says that a round shall begin, or has ended.
const ROUND: u8 = b'\n';

/// Prints how long it takes until the last of so many connections has answered a frame of so many bytes.
pub(crate) async fn measure(connections: usize, frame: usize, rounds: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let writer = Command::new(std::env::current_exe()?)
        .args(["--write-frames-for", &listener.local_addr()?.to_string()])
        .kill_on_drop(true)
        .spawn()?;
    let (mut control, _) = listener.accept().await?;
    control.set_nodelay(true)?;
    control.write_u32(u32::try_from(connections)?).await?;
    control.write_u32(u32::try_from(frame)?).await?;
    let _answering = answer(connections, frame, &greeting(&mut control).await?).await?;
    control.read_u8().await.context("the writing end has nobody")?;
    for _ in 0..WARM_UP {
        round(&mut control).await?;
    }
    let writing_end = Party::processes("writing end", [writer.id().context("the writing end runs")?]);
    let meter = Meter::start(vec![writing_end, Party::load()]);
    let mut last = report::histogram();
    for _ in 0..rounds {
        report::note(&mut last, round(&mut control).await?);
    }
    report::line(&format!(
        "     floor: {frame} bytes to {connections} bare TLS connections and {ANSWER} back: to the last {}",
        report::quantiles(&last)
    ))?;
    meter.finish("round", rounds as u64)
}

/// Prints how long it takes until each of so many connections that are opened at once has a frame of so many bytes.
pub(crate) async fn measure_herd(connections: usize, frame: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let _writer = Command::new(std::env::current_exe()?)
        .args(["--greet-with-frames", &listener.local_addr()?.to_string()])
        .kill_on_drop(true)
        .spawn()?;
    let (mut control, _) = listener.accept().await?;
    control.write_u32(u32::try_from(connections)?).await?;
    control.write_u32(u32::try_from(frame)?).await?;
    let to = greeting(&mut control).await?;
    let tls = tls_client::connector([to.certificate.clone()])?;
    let begun = Instant::now();
    let mut arriving = JoinSet::new();
    for _ in 0..connections {
        let (tls, address) = (tls.clone(), to.address.clone());
        arriving.spawn(async move {
            let mut stream = tls_client::connect(&tls, &address).await?;
            let mut rest = frame;
            let mut piece = vec![0; frame.min(64 * 1024)];
            while rest > 0 {
                let size = rest.min(piece.len());
                stream.read_exact(&mut piece[..size]).await?;
                rest -= size;
            }
            anyhow::Ok(begun.elapsed())
        });
    }
    let mut each = report::histogram();
    while let Some(served) = arriving.join_next().await {
        report::note(&mut each, served??);
    }
    report::line(&format!(
        "     floor: {connections} bare TLS connections at once, without client certificates, {frame} bytes to each: all after {:.2} s, each {}",
        begun.elapsed().as_secs_f64(),
        report::quantiles(&each)
    ))?;
    Ok(())
}

/// The other end of a herd's floor, told over a connection to `control` how many connections to take and how large a frame is: each is
/// sent one at once. Ends with that connection.
pub(crate) async fn greet_with_frames(control: SocketAddr) -> anyhow::Result<()> {
    let mut control = TcpStream::connect(control).await?;
    let (connections, frame) = (control.read_u32().await?, control.read_u32().await?);
    let (listener, tls) = listen(&mut control).await?;
    let frame: Arc<[u8]> = vec![1; usize::try_from(frame)?].into();
    let mut greeting = JoinSet::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await?;
        let (tls, frame) = (tls.clone(), Arc::clone(&frame));
        greeting.spawn(async move {
            stream.set_nodelay(true)?;
            let mut stream = tls.accept(stream).await?;
            stream.write_all(&frame).await?;
            stream.flush().await?;
            // The other end closes first.
            drop(stream.read_u8().await);
            anyhow::Ok(())
        });
    }
    while let Some(greeted) = greeting.join_next().await {
        greeted??;
    }
    drop(control.read_u8().await);
    Ok(())
}

/// Listens with a fresh certificate, with room for a herd, and says at the other end of `control` where.
async fn listen(control: &mut TcpStream) -> anyhow::Result<(TcpListener, TlsAcceptor)> {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(tls_client::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(4096)?;
    control.write_u16(listener.local_addr()?.port()).await?;
    control.write_u16(u16::try_from(certificate.len())?).await?;
    control.write_all(&certificate).await?;
    Ok((listener, TlsAcceptor::from(Arc::new(config))))
}

/// Lets every connection exchange a frame and an answer once; answers how long that took.
async fn round(control: &mut TcpStream) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    control.write_u8(ROUND).await?;
    control.read_u8().await.context("the writing end has ended")?;
    let elapsed = begun.elapsed();
    tokio::time::sleep(SPACING).await;
    Ok(elapsed)
}

/// Where the writing end listens, and its certificate.
struct Greeting {
    address: String,
    certificate: CertificateDer<'static>,
}

async fn greeting(control: &mut TcpStream) -> anyhow::Result<Greeting> {
    let address = format!("127.0.0.1:{}", control.read_u16().await?);
    let mut certificate = vec![0; usize::from(control.read_u16().await?)];
    control.read_exact(&mut certificate).await?;
    Ok(Greeting {
        address,
        certificate: certificate.into(),
    })
}

async fn answer(
    connections: usize,
    frame: usize,
    to: &Greeting,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let tls = tls_client::connector([to.certificate.clone()])?;
    let mut answering = JoinSet::new();
    for _ in 0..connections {
        answering.spawn(answer_frames(
            tls_client::connect(&tls, &to.address).await?,
            frame,
        ));
    }
    Ok(answering)
}

async fn answer_frames(mut stream: TlsStream<TcpStream>, frame: usize) -> anyhow::Result<()> {
    let mut received = vec![0; frame];
    loop {
        stream.read_exact(&mut received).await?;
        stream.write_all(&[1; ANSWER]).await?;
        stream.flush().await?;
    }
}

/// The writing end, told over a connection to `control` how many connections to take and how large a frame is. For each byte that
/// comes there it writes a frame to every one of them, waits for every answer and says so with a byte. Ends with that connection.
pub(crate) async fn write_frames(control: SocketAddr) -> anyhow::Result<()> {
    let mut control = TcpStream::connect(control).await?;
    control.set_nodelay(true)?;
    let (connections, frame) = (control.read_u32().await?, control.read_u32().await?);
    let (listener, tls) = listen(&mut control).await?;
    let round = watch::Sender::new(0_u64);
    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut exchanging = JoinSet::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let stream = tls.accept(stream).await?;
        exchanging.spawn(exchange(stream, frame, round.subscribe(), answered.clone()));
    }
    loop {
        control.write_u8(ROUND).await?;
        if control.read_u8().await.is_err() {
            return Ok(());
        }
        round.send_modify(|number| *number += 1);
        for _ in 0..connections {
            answers.recv().await.context("every connection is gone")?;
        }
    }
}

async fn exchange(
    mut stream: server::TlsStream<TcpStream>,
    frame: u32,
    mut round: watch::Receiver<u64>,
    answered: mpsc::UnboundedSender<()>,
) -> anyhow::Result<()> {
    let frame = vec![1; usize::try_from(frame)?];
    let mut answer = [0; ANSWER];
    loop {
        round.changed().await?;
        stream.write_all(&frame).await?;
        stream.flush().await?;
        stream.read_exact(&mut answer).await?;
        answered.send(())?;
    }
}
