//! Behind a proxy, a change is recorded with the address that the proxy took the request from, and with no other that somebody pretends.

use serde_json::{Value, json};
use tests::server_process::{Log, ServerProcess};

async fn source_of_a_change(arguments: &[&str], forwarded: &[(&str, &str)]) -> Value {
    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(arguments);
    server.start_again();
    server.ready().await;
    let group = server.api().group("default");
    let mut call = group.put("services/orders", &json!({ "host": "orders.test" }));
    for (name, value) in forwarded {
        call = call.header(name, value);
    }
    call.await.expect_status(200);
    let change = group.read("versions/1").await.expect_status(200).json();
    change["source"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_a_change_is_what_our_own_proxies_note() {
    let noted = [("x-forwarded-for", "203.0.113.9, 192.0.2.1")];
    assert_eq!(source_of_a_change(&[], &noted).await, "127.0.0.1");
    assert_eq!(source_of_a_change(&["--behind-proxy"], &noted).await, "192.0.2.1");
    let two = ["--behind-proxy", "--proxy-hops=2"];
    assert_eq!(source_of_a_change(&two, &noted).await, "203.0.113.9");
    let header = ["--behind-proxy", "--proxy-header=forwarded"];
    let noted = [
        ("forwarded", "for=\"[2001:db8::1]:4711\""),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    assert_eq!(source_of_a_change(&header, &noted).await, "2001:db8::1");
}
