//! The log's signed head, and the key that checks it.

use commands::log::head::SignedHead;

use crate::app::{App, signing_key};

#[tokio::test]
async fn the_head_is_signed_with_the_key_of_the_key_set() {
    let app = App::start().await;
    let head = app.get("/v2/log/head").await.expect(200);
    let signed = SignedHead::parse(&head.text).unwrap();
    assert_eq!(signed.check(&signing_key().public()), Ok(()));

    let keys = app.get("/v2/log/jwks.json").await.expect(200).body;
    assert_eq!(keys["keys"][0]["x"], head.body["public_key"]);
    assert_eq!(keys["keys"][0]["kid"], head.body["key"]);
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
}
