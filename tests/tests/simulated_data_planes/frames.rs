//! What kills a connection, and what doesn't.

use std::time::Duration;

use tests::data_plane::{DataPlane, Order};

use crate::scripted_control_plane::{
    Connection, ScriptedControlPlane, accepted_table, gzip, header, reconfigure,
};

/// A node of 3.9.1 with its session.
async fn session(control_plane: &ScriptedControlPlane) -> (DataPlane, Connection) {
    let node = DataPlane::start(control_plane.node("3.9.1"));
    let (connection, _) = control_plane.accept_session().await;
    (node, connection)
}

async fn first_ending(node: &DataPlane) -> String {
    node.sees("has lost its connection", |observed| {
        observed.endings.first().cloned()
    })
    .await
}

#[tokio::test]
async fn a_message_in_two_frames_ends_the_connection() {
    let control_plane = ScriptedControlPlane::listen().await;
    let (node, mut connection) = session(&control_plane).await;
    let message = gzip(&reconfigure(
        &accepted_table(),
        "f1a744cfbe05c342e2b0c945bcb96d0a",
    ));
    let (first, second) = message.split_at(message.len() / 2);
    connection
        .send(&[&header(0x02, first.len()), first].concat())
        .await;
    connection
        .send(&[&header(0x80, second.len()), second].concat())
        .await;
    assert!(first_ending(&node).await.ends_with("again"));
    assert!(node.observed().applied.is_none());
}

#[tokio::test]
async fn reserved_bits_and_reserved_opcodes_end_the_connection() {
    let control_plane = ScriptedControlPlane::listen().await;
    for (first, reason) in [
        (0xc2, "bad RSV1, RSV2, or RSV3 bits"),
        (0x83, "reserved frame opcode"),
    ] {
        let (node, mut connection) = session(&control_plane).await;
        connection.send(&header(first, 0)).await;
        assert!(first_ending(&node).await.ends_with(reason));
    }
}

#[tokio::test]
async fn a_frame_beyond_the_nodes_limit_ends_the_connection() {
    let control_plane = ScriptedControlPlane::listen().await;
    let (node, mut connection) = session(&control_plane).await;
    connection.send(&header(0x82, (16 << 20) + 1)).await;
    assert!(first_ending(&node).await.ends_with("exceeding max payload len"));
    let older = DataPlane::start(control_plane.node("3.3.1"));
    let (mut connection, _) = control_plane.accept_session().await;
    connection.send(&header(0x82, (4 << 20) + 1)).await;
    assert!(first_ending(&older).await.ends_with("exceeding max payload len"));
}

#[tokio::test]
async fn pings_of_the_control_plane_and_text_are_noted_and_not_answered() {
    let control_plane = ScriptedControlPlane::listen().await;
    let (node, mut connection) = session(&control_plane).await;
    connection.send(&[0x89, 2, b'h', b'i']).await;
    connection.send(&[0x81, 2, b'h', b'i']).await;
    node.sees("has heard both", |observed| {
        (observed.unknown_frames == 2).then_some(())
    })
    .await;
    node.order(Order::PingWith(b"next".to_vec()));
    assert_eq!(connection.ping().await, "next", "nothing came before it");
}

#[tokio::test]
async fn a_stall_within_a_frame_costs_the_node_its_place() {
    let control_plane = ScriptedControlPlane::listen().await;
    let mut settings = control_plane.node("3.9.1");
    settings.socket_timeout = Duration::from_millis(200);
    let node = DataPlane::start(settings);
    let (mut connection, _) = control_plane.accept_session().await;
    let message = gzip(&reconfigure(
        &accepted_table(),
        "f1a744cfbe05c342e2b0c945bcb96d0a",
    ));
    let mut frame = header(0x82, message.len());
    frame.extend(&message);
    connection.send(&frame[..100]).await;
    node.sees("gives up", |observed| (observed.stalls == 1).then_some(()))
        .await;
    connection.send(&[0xf2; 16]).await;
    assert!(
        first_ending(&node)
            .await
            .ends_with("bad RSV1, RSV2, or RSV3 bits")
    );
}

#[tokio::test]
async fn silence_ends_the_connection_with_a_close_frame() {
    let control_plane = ScriptedControlPlane::listen().await;
    let mut settings = control_plane.node("3.9.1");
    settings.silence = Duration::from_millis(100);
    let node = DataPlane::start(settings);
    let (mut connection, _) = control_plane.accept_session().await;
    assert_eq!(connection.frame().await.0, 8, "a close frame");
    assert_eq!(
        first_ending(&node).await,
        "did not receive pong frame from control plane"
    );
    control_plane.accept().await;
}

#[tokio::test]
async fn a_stopped_process_leaves_with_a_fin_and_without_a_close_frame() {
    let control_plane = ScriptedControlPlane::listen().await;
    let (mut node, mut connection) = session(&control_plane).await;
    node.stop().await;
    connection.ended().await;
}
