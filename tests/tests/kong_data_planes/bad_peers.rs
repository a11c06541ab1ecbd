//! Peers that mean harm, or don't know better: the server's memory is bounded, the others don't notice, and each is refused with a
//! reason in the log and the metrics.

use std::net::SocketAddr;

use tests::data_plane::websocket::Opcode;
use tests::data_plane::wire::Wire;
use tests::data_plane::{DataPlane, Order, Pair, Settings, tls};
use tests::eventually::eventually;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::world::{World, content};

/// How many half-open connections there are: `HALF_OPEN=10000` for the long run.
fn half_open() -> usize {
    let asked = std::env::var("HALF_OPEN").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(500)
}

/// Resident memory of the server in bytes.
fn resident(world: &World) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", world.server.pid())).expect("the server runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a process has memory");
    let kibibytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("it is a number");
    kibibytes * 1024
}

/// An upgraded connection on which nothing was said yet.
async fn upgraded(settings: &Settings) -> Wire {
    let connector = tls::connector(&settings.identity, settings.tls_versions);
    let mut wire = Wire::open(settings, &connector)
        .await
        .expect("the handshake succeeds");
    let head = wire
        .upgrade(settings, &settings.target("/v1/outlet"), None)
        .await
        .expect("it is answered");
    assert_eq!(head.status(), 101);
    wire
}

/// A node that has to go on being served.
async fn bystander(world: &World) -> DataPlane {
    let node = world.node("3.9.1");
    node.applied().await;
    node
}

/// The bystander still has its first connection and gets a change.
async fn unaffected(world: &World, node: &DataPlane, change: &str) {
    world.add_service(change).await;
    node.runs_with("services", change).await;
    assert_eq!(node.observed().connections, 1);
    content(node);
}

#[tokio::test]
async fn strangers_are_refused_with_a_reason_in_the_log_and_the_metrics() {
    let mut world = World::begin().await;
    let node = bystander(&world).await;
    let stranger = Pair::of("kong_clustering");
    let _strangers: Vec<DataPlane> = [stranger.clone(), world.pair.with_the_key_of(&stranger)]
        .iter()
        .map(|pair| DataPlane::start(world.settings_of("3.9.1", pair)))
        .collect();
    eventually("their refusals are counted", async || {
        let refused = world.metric("dataplane_connections_refused").await;
        if refused >= 4.0 { Ok(()) } else { Err(refused) }
    })
    .await;
    unaffected(&world, &node, "after-strangers").await;
    let printed = world.server.process().printed();
    assert!(printed.contains("refused"), "the log says why:\n{printed}");
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let world = World::begin().await;
    let node = bystander(&world).await;
    let noise: Vec<u8> = (0..64 * 1024_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for garbage in [
        // No WebSocket at all, reserved bits, a reserved opcode, an unmasked frame, a ping of more than 125 bytes, a length beyond reason.
        noise,
        vec![0xf2, 0x80, 0, 0, 0, 0],
        vec![0x83, 0x80, 0, 0, 0, 0],
        vec![0x82, 0x03, b'a', b'b', b'c'],
        vec![0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0],
        vec![
            0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
        ],
    ] {
        let bad = world.node("3.9.1");
        bad.applied().await;
        bad.order(Order::Garbage(garbage.clone()));
        bad.sees("is dropped", |observed| {
            (!observed.endings.is_empty()).then_some(())
        })
        .await;
    }
    let settings = world.settings("3.9.1");
    for request in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v1/outlet HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let connector = tls::connector(&settings.identity, settings.tls_versions);
        let mut wire = Wire::open(&settings, &connector).await.unwrap();
        if let Ok(head) = wire.request(request).await {
            assert!(
                (400..500).contains(&head.status()),
                "{request:?}: {}",
                head.status_line
            );
        }
    }
    unaffected(&world, &node, "after-garbage").await;
}

#[tokio::test]
async fn an_endless_basic_info_is_cut_off_in_bounded_memory() {
    let world = World::begin().await;
    let node = bystander(&world).await;
    let before = resident(&world);
    let settings = world.settings("3.9.1");
    for _ in 0..4 {
        let mut wire = upgraded(&settings).await;
        // A frame of 1 GiB is announced and as much of it sent as the server takes.
        wire.write_raw(&[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let piece = vec![b'a'; 1 << 20];
        for _ in 0..1024 {
            if wire.write_raw(&piece).await.is_err() {
                break;
            }
        }
        // In pieces that no end ever comes to.
        let mut wire = upgraded(&settings).await;
        let first = [&[0x02, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &vec![b'a'; 0xffff]].concat();
        let next = [&[0x00, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &vec![b'a'; 0xffff]].concat();
        let mut written = wire.write_raw(&first).await;
        for _ in 0..16 * 1024 {
            if written.is_err() {
                break;
            }
            written = wire.write_raw(&next).await;
        }
        written.expect_err("nobody takes a gigabyte of introduction");
    }
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more");
    unaffected(&world, &node, "after-the-endless").await;
}

#[tokio::test]
async fn a_basic_info_in_drops_is_not_waited_for() {
    let world = World::begin().await;
    let node = bystander(&world).await;
    let mut wire = upgraded(&world.settings("3.9.1")).await;
    wire.write_raw(&[0x82, 0xfe, 0x10, 0x00, 0, 0, 0, 0])
        .await
        .unwrap();
    eventually("the server has had enough", async || {
        match wire.write_raw(b" ").await {
            Ok(()) => Err("it still takes another byte"),
            Err(_) => Ok(()),
        }
    })
    .await;
    unaffected(&world, &node, "after-the-drops").await;
}

#[tokio::test]
async fn pings_without_end_are_answered_or_cut_off_in_bounded_memory() {
    let world = World::begin().await;
    let node = bystander(&world).await;
    let before = resident(&world);
    let settings = world.settings("3.9.1");
    let mut wire = upgraded(&settings).await;
    let info = serde_json::json!({ "type": "basic_info", "plugins": [] }).to_string();
    wire.write(Opcode::Binary, info.as_bytes()).await.unwrap();
    let ping = [&[0x89, 0xa0, 0, 0, 0, 0][..], &[b'0'; 32]].concat().repeat(1000);
    // It asks and asks and never listens to the answers.
    let asking = async {
        for _ in 0..2_000 {
            if wire.write_raw(&ping).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        () = unaffected(&world, &node, "meanwhile") => {}
    }
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more");
    unaffected(&world, &node, "after-the-pings").await;
}

#[tokio::test]
async fn slow_readers_hold_up_nobody_in_bounded_memory() {
    let world = World::begin().await;
    let node = bystander(&world).await;
    let slow: Vec<DataPlane> = (0..20).map(|_| world.node("3.9.1")).collect();
    world.reach(&slow, "has a configuration", |_| true).await;
    for node in &slow {
        node.order(Order::StopReading);
    }
    let before = resident(&world);
    for number in 0..20 {
        unaffected(&world, &node, &format!("s-{number}")).await;
    }
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more");
    for node in &slow {
        node.order(Order::ReadAgain);
    }
    world
        .reach(&slow, "has the newest", |applied| {
            applied.find("services", "s-19").is_some()
        })
        .await;
    slow.iter().for_each(content);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_take_bounded_memory_and_keep_nobody_out() {
    let world = World::begin().await;
    let node = bystander(&world).await;
    let before = resident(&world);
    let address: SocketAddr = world.server.dataplane_address().parse().unwrap();
    let mut half = Vec::new();
    for number in 0..half_open() {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        if number % 2 == 0 {
            // The beginning of a ClientHello.
            let _ = stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await;
        }
        half.push(stream);
    }
    let grown = resident(&world).saturating_sub(before);
    let each = grown / half.len().max(1) as u64;
    assert!(each < 64 << 10, "{each} bytes for each");
    unaffected(&world, &node, "meanwhile").await;
    let another = world.node("3.9.1");
    another.runs_with("services", "meanwhile").await;
    eventually("the half-open ones are shown the door", async || {
        let descriptors =
            std::fs::read_dir(format!("/proc/{}/fd", world.server.pid())).map_or(0, Iterator::count);
        if descriptors < half.len() / 2 + 100 {
            Ok(())
        } else {
            Err(descriptors)
        }
    })
    .await;
    drop(half);
    unaffected(&world, &node, "afterwards").await;
}
