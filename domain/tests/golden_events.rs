//! Every event version ever written decodes for ever, and today's encoding is the newest golden file's.
//!
//! The files are the bytes of one record each. After adding an event or a version, write its file with
//! `UPDATE_GOLDEN=1 cargo test -p domain --test golden_events`; a file that exists is never rewritten.

use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use domain::codec::{EventCodec, EventRecord};
use domain::fingerprint::Fingerprint;
use domain::group::{DeletionCause, Entity, GroupEvent};
use domain::keyring::{DataKey, KeyNotLoaded, KeyState};
use domain::organization::{
    CertificateContent, GroupRecord, GroupSettings, NodeCertificate, OrganizationEvent, RuntimeType,
    TokenRecord,
};
use domain::system::{Authority, ClaimedCertificate, GroupOfOrganization, SystemEvent};
use domain::token::{Role, TokenHash};
use domain::{
    Boundary, DataKeys, Digest, EntityId, GroupId, KeyId, Kind, NodeCertificateId, NodeId, OrganizationId,
    Secret, Timestamp, TokenId,
};
use serde_json::json;
use uuid::Uuid;

/// A keyring whose keys are known to whoever reads this test.
struct KnownKeys;

impl DataKeys for KnownKeys {
    fn data_key(&self, id: KeyId) -> Result<KeyState, KeyNotLoaded> {
        let owner = id.owner.map_or(0, |owner| owner.as_bytes()[0]);
        Ok(KeyState::Present(DataKey([owner; 32])))
    }
}

const CONSUMER: Uuid = Uuid::from_u128(0x5555_5555_5555_4555_8555_5555_5555_5555);
const ONE: Uuid = Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111);

fn entity(kind: &str, body: serde_json::Value) -> Arc<Entity> {
    let kind = Kind::named(kind).expect("a kind");
    let id = EntityId(Uuid::parse_str(body["id"].as_str().expect("an id")).expect("a UUID"));
    Arc::new(Entity::from_map(kind, id, body.as_object().expect("an object")))
}

fn group_events() -> Vec<GroupEvent> {
    let service = json!({"id": ONE, "name": "s1", "host": "example.com", "tags": ["a"]});
    let consumer = json!({"id": CONSUMER, "username": "ann", "custom_id": null, "tags": null});
    let credential =
        json!({"id": ONE, "consumer": {"id": CONSUMER}, "key": "the key", "tags": null, "ttl": 60});
    let credential = Entity {
        expires_at: Some(Timestamp(1_800_000_060_000)),
        ..entity("keyauth_credentials", credential).as_ref().clone()
    };
    vec![
        GroupEvent::EntityCreated {
            entity: entity("services", service.clone()),
        },
        GroupEvent::EntityCreated {
            entity: entity("consumers", consumer),
        },
        GroupEvent::EntityCreated {
            entity: Arc::new(credential),
        },
        GroupEvent::EntityUpdated {
            entity: entity("services", service),
            changed: vec!["host".to_owned()],
        },
        GroupEvent::EntityDeleted {
            kind: Kind::named("services").expect("a kind"),
            id: EntityId(ONE),
            cause: DeletionCause::Cascade,
        },
        GroupEvent::GroupSealed,
        GroupEvent::GroupUnsealed,
        GroupEvent::ConsumerErased {
            id: EntityId(CONSUMER),
        },
    ]
}

fn organization_events() -> Vec<OrganizationEvent> {
    let group = GroupRecord {
        id: GroupId(ONE),
        name: "us-west".to_owned(),
        description: Some("the west".to_owned()),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        settings: GroupSettings::default(),
        runtime_type: Some(RuntimeType::Native),
        created_at: Timestamp(1_800_000_000_000),
        updated_at: Timestamp(1_800_000_001_000),
        deleted_at: None,
        purged_at: None,
        touched: 0,
    };
    let deleted = GroupRecord {
        deleted_at: Some(Timestamp(1_800_000_002_000)),
        ..group.clone()
    };
    let purged = GroupRecord {
        description: None,
        labels: [].into(),
        purged_at: Some(Timestamp(1_800_000_004_000)),
        ..deleted.clone()
    };
    let token = TokenRecord {
        id: TokenId(ONE),
        name: "ci".to_owned(),
        role: Role::Instance,
        group: Some(GroupId(ONE)),
        hash: TokenHash([7; 32]),
        created_at: Timestamp(1_800_000_000_000),
        expires_at: Some(Timestamp(1_900_000_000_000)),
        revoked_at: None,
        revoked_with_group: false,
    };
    let revoked = TokenRecord {
        revoked_at: Some(Timestamp(1_800_000_003_000)),
        ..token.clone()
    };
    let (node, digest) = (NodeId(CONSUMER), Digest([3; 32]));
    let restored = token.clone();
    vec![
        OrganizationEvent::OrganizationCreated {
            id: OrganizationId(ONE),
            name: "acme".to_owned(),
        },
        OrganizationEvent::GroupCreated { group: group.clone() },
        OrganizationEvent::GroupUpdated {
            group: group.clone(),
            changed: vec!["labels".to_owned()],
        },
        OrganizationEvent::GroupDeleted { group: deleted },
        OrganizationEvent::GroupRestored { group },
        OrganizationEvent::TokenIssued { token },
        OrganizationEvent::TokenRevoked { token: revoked },
        OrganizationEvent::NodeAdmitted {
            group: GroupId(ONE),
            node,
            hostname: "edge-1".to_owned(),
            credential: "token:1".to_owned(),
        },
        OrganizationEvent::NodeRefused {
            group: GroupId(ONE),
            node,
            version: 7,
            digest,
            reason: "no such plugin".to_owned(),
        },
        OrganizationEvent::NodeCertificateAdded {
            certificate: certificate(),
        },
        OrganizationEvent::NodeCertificateRemoved {
            group: GroupId(ONE),
            id: NodeCertificateId(ONE),
            fingerprint: Fingerprint([5; 32]),
            subject: "CN=edge".to_owned(),
        },
        OrganizationEvent::GroupPurged { group: purged },
        OrganizationEvent::TokenRestored { token: restored },
    ]
}

fn certificate() -> NodeCertificate {
    let content = CertificateContent {
        pem: "the certificate".to_owned(),
        fingerprint: Fingerprint([5; 32]),
        subject: "CN=edge".to_owned(),
        serial: "7f".to_owned(),
        not_before: Timestamp(1_800_000_000_000),
        not_after: Timestamp(1_900_000_000_000),
        is_ca: false,
        version: 3,
    };
    NodeCertificate {
        id: NodeCertificateId(ONE),
        group: GroupId(ONE),
        name: Some("edge".to_owned()),
        content,
        created_at: Timestamp(1_800_000_000_000),
        updated_at: Timestamp(1_800_000_000_000),
    }
}

fn system_events() -> Vec<SystemEvent> {
    let authority = Authority {
        certificate: "the certificate".to_owned(),
        key: Secret::new("the key".to_owned()),
    };
    let by = GroupOfOrganization {
        organization: OrganizationId(ONE),
        group: GroupId(CONSUMER),
    };
    let leaf = CertificateContent::of_pem(include_str!("node_certificates/leaf.pem"));
    let leaf = leaf.and_then(|content| content.der()).expect("a certificate");
    let claimed = ClaimedCertificate::of_der(&leaf).expect("a certificate");
    vec![
        SystemEvent::Initialized { log_id: ONE },
        SystemEvent::AuthorityCreated { authority },
        SystemEvent::OrganizationRegistered {
            id: OrganizationId(ONE),
            name: "acme".to_owned(),
        },
        SystemEvent::CertificateClaimed {
            fingerprint: Fingerprint([5; 32]),
            by,
            certificate: None,
        },
        SystemEvent::CertificateReleased {
            fingerprint: Fingerprint([5; 32]),
            by,
        },
        SystemEvent::CertificateClaimed {
            fingerprint: claimed.fingerprint(),
            by,
            certificate: Some(claimed),
        },
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Checks one family: `boundary` is where its events stand.
fn check<E: EventCodec + PartialEq + Debug>(boundary: Boundary, events: &[E]) {
    for (index, event) in events.iter().enumerate() {
        let record = event.encode(boundary, &KnownKeys).expect("every key is known");
        let file = folder().join(format!("{}.v{}.{index}.msgpack", record.name, record.version));
        if !file.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, rmp_serde::to_vec_named(&record).expect("a record encodes"))
                .expect("a writable folder");
        }
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let golden: EventRecord = rmp_serde::from_slice(&bytes).expect("a golden record");
        assert_eq!(
            golden, record,
            "the encoding of {} changed without a new version",
            record.name
        );
        let decoded = E::decode(&golden, boundary, &KnownKeys).expect("a golden event decodes");
        assert_eq!(&decoded, event);
    }
}

#[test]
fn group_events_decode_for_ever() {
    check(Boundary::Group(GroupId(ONE)), &group_events());
}

#[test]
fn organization_events_decode_for_ever() {
    check(
        Boundary::Organization(OrganizationId(ONE)),
        &organization_events(),
    );
}

#[test]
fn system_events_decode_for_ever() {
    check(Boundary::System, &system_events());
}

#[test]
fn every_golden_file_of_an_older_version_still_decodes() {
    let files = fs::read_dir(folder()).expect("the golden folder");
    for file in files {
        let path = file.expect("a file").path();
        let golden: EventRecord =
            rmp_serde::from_slice(&fs::read(&path).expect("readable")).expect("a golden record");
        let group = GroupEvent::decode(&golden, Boundary::Group(GroupId(ONE)), &KnownKeys).is_ok();
        let organization = Boundary::Organization(OrganizationId(ONE));
        let organization = OrganizationEvent::decode(&golden, organization, &KnownKeys).is_ok();
        let system = SystemEvent::decode(&golden, Boundary::System, &KnownKeys).is_ok();
        assert!(
            group || organization || system,
            "{} decodes no more",
            path.display()
        );
    }
}

#[test]
fn no_secret_and_no_personal_field_stands_in_the_bytes() {
    let boundary = Boundary::Group(GroupId(ONE));
    for event in group_events() {
        let record = event.encode(boundary, &KnownKeys).expect("every key is known");
        let text = String::from_utf8_lossy(&record.body).into_owned();
        assert!(!text.contains("the key") && !text.contains("ann"), "{text}");
    }
}
