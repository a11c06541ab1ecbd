//! Certificates, chains and keys that somebody uploads: as entities, and several for the instances of two groups.
//!
//! A certificate is the same from DER and from PEM. Of two groups none ever has a certificate that meets one of the other.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::organization::CertificateContent;
use domain::schema::{CustomPlugins, Secrets, Write, fill_and_validate};
use domain::system::certificate_claim::{meetings, met_groups};
use domain::system::{
    ClaimedCertificate, GroupOfOrganization, Possession, System, SystemCommand, Wanted, decide,
};
use domain::{Actor, Change, Context, GroupId, Kind, OrganizationId, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 3 {
        0 => uploaded(rest),
        1 => {
            let blocks: Vec<_> = bundle(rest).map(pem).collect();
            let (first, others) = blocks
                .split_first()
                .map_or((String::new(), String::new()), |(first, others)| {
                    (first.clone(), others.concat())
                });
            // A chain, and one certificate beside another.
            entities(&(first.clone() + &others), &others);
            entities(&first, &others);
        }
        _ => claimed(rest),
    }
});

/// A text, as it is.
fn uploaded(bytes: &[u8]) {
    if let Ok(content) = CertificateContent::of_der(bytes) {
        check_content(&content);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(content) = CertificateContent::of_pem(text) {
        check_content(&content);
    }
    let (certificate, key) = text.split_once('\0').unwrap_or((text, text));
    entities(certificate, key);
}

fn check_content(content: &CertificateContent) {
    let der = content.der().expect("what is kept is PEM");
    assert_eq!(CertificateContent::of_der(&der).as_ref(), Ok(content));
    assert_eq!(CertificateContent::of_pem(&content.pem).as_ref(), Ok(content));
    assert!(
        ClaimedCertificate::of_der(&der).is_some(),
        "what can be kept can be claimed"
    );
    drop(content.check_own_signature());
}

fn entities(certificate: &str, key: &str) {
    for (kind, body) in [
        ("certificates", json!({ "cert": certificate, "key": key })),
        (
            "certificates",
            json!({ "cert": certificate, "key": key, "cert_alt": key, "key_alt": certificate }),
        ),
        ("ca_certificates", json!({ "cert": certificate })),
        (
            "keys",
            json!({ "kid": "k", "pem": { "public_key": certificate, "private_key": key } }),
        ),
        ("keys", json!({ "kid": "k", "jwk": certificate })),
    ] {
        let (Some(kind), Value::Object(body)) = (Kind::named(kind), body) else {
            panic!("the kinds are known");
        };
        if let Some(written) = written(kind, body) {
            let again = self::written(kind, written.clone());
            assert_eq!(
                again.as_ref(),
                Some(&written),
                "what was written can be written again"
            );
        }
    }
}

fn written(kind: Kind, body: Map<String, Value>) -> Option<Map<String, Value>> {
    let mut context = Context::new(NOW, [7; 32]);
    let plugins = CustomPlugins::default();
    fill_and_validate(kind, &plugins, Write::Insert, body, Secrets::Plain, &mut context).ok()
}

/// Two groups add one certificate after the other, in turns.
fn claimed(bytes: &[u8]) {
    let mut system = System::default();
    for (number, der) in bundle(bytes).take(16).enumerate() {
        let Some(certificate) = ClaimedCertificate::of_der(der) else {
            continue;
        };
        let by = group(number % 2);
        let meets = met_groups(&system, &certificate, by);
        let wanted = Wanted {
            certificate,
            by,
            from: Vec::new(),
            possession: Possession::Known,
        };
        let decided = decide(
            &system,
            &SystemCommand::ClaimCertificate(wanted),
            &Context::new(NOW, [0; 32]),
        );
        assert_eq!(
            decided.is_ok(),
            meets.is_empty(),
            "what meets another group's certificate is refused"
        );
        if let Ok(events) = decided {
            system.apply(&Change {
                version: system.version + 1,
                at: NOW,
                clock: NOW,
                actor: Actor::System {
                    part: "fuzz".to_owned(),
                },
                reason: None,
                request_id: None,
                source: None,
                idempotency: None,
                catalogue: 1,
                events,
            });
        }
    }
    let claims = system.certificates.values();
    let held = claims.filter_map(|claim| Some((claim.by, claim.certificate.clone()?)));
    assert_eq!(
        meetings(&held.collect::<Vec<_>>()),
        [],
        "no two groups' certificates meet"
    );
}

fn group(number: usize) -> GroupOfOrganization {
    GroupOfOrganization {
        organization: OrganizationId(Uuid::from_u128(1)),
        group: GroupId(Uuid::from_u128(2 + number as u128)),
    }
}

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(der)
    )
}

/// Certificates with a length of two bytes before each.
fn bundle(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (certificate, after) = rest.split_at(length);
        bytes = after;
        Some(certificate)
    })
}
