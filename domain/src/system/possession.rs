//! Whoever adds a certificate to a group shows that its private key is theirs: certificates are public, so anybody could
//! add somebody else's and take over the instances that have it.
//!
//! A challenge is a text that says for which group of which installation it is and how long it is good for, under a
//! seal that only this installation can make. Nothing is kept of it: what comes back says everything. The text begins
//! with [`CHALLENGE_BEGINS`], so that a signature of it is never taken for one of something else.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{ClaimedCertificate, GroupOfOrganization, System};
use crate::Timestamp;
use crate::certificate_signature::verifies;

/// How every challenge begins.
pub const CHALLENGE_BEGINS: &str = "runtime-manager certificate challenge 1; ";
/// For how many seconds a challenge is good.
pub const CHALLENGE_SECONDS: i64 = 600;

/// How it is known that whoever adds a certificate holds its private key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Possession {
    /// It isn't.
    #[default]
    Unproven,
    /// A challenge was signed with it.
    Signed(SignedChallenge),
    /// Nobody asks: whoever adds it may change every group of the organization. Good enough while there is no other
    /// organization in the installation.
    Vouched,
    /// Its key was made here, or the group had it before.
    Known,
}

/// A challenge and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedChallenge {
    /// The challenge, as it was given out.
    pub challenge: String,
    /// The signature of its bytes, base64.
    pub signature: String,
}

/// Why possession isn't proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Nothing was shown.
    #[error(
        "a certificate opens the runtime group to whoever has its private key, so show that this is you: sign a challenge of this group with the key (`runtime-manager node certificate add FILE --key FILE` does it), or have it added by an admin of the whole installation"
    )]
    Nothing,
    /// The challenge isn't one of this group.
    #[error("the challenge is none of this runtime group in this installation: ask for one here and sign it")]
    Foreign,
    /// The challenge is too old.
    #[error("the challenge was good until {0}: ask for another and sign it")]
    TooLate(Timestamp),
    /// The signature isn't one.
    #[error(
        "the signature of the challenge isn't by the certificate's private key: sign the very text of the challenge with SHA-256 (RSA or ECDSA) or Ed25519, and send it in base64"
    )]
    Signature,
}

/// A new challenge for a group, and until when it is good; none before the installation's first start.
pub fn challenge(state: &System, by: GroupOfOrganization, at: Timestamp) -> Option<(String, Timestamp)> {
    let until = at.plus_seconds(CHALLENGE_SECONDS);
    let text = unsealed(state, by, until)?;
    let seal = seal(state, &text)?;
    Some((format!("{text}; seal={seal}"), until))
}

/// Refuses whoever hasn't shown possession of a certificate's private key.
pub(super) fn check(
    state: &System,
    certificate: &ClaimedCertificate,
    by: GroupOfOrganization,
    possession: &Possession,
    at: Timestamp,
) -> Result<(), Unproven> {
    match possession {
        Possession::Known => Ok(()),
        Possession::Vouched if is_alone(state, by) => Ok(()),
        Possession::Vouched | Possession::Unproven => Err(Unproven::Nothing),
        Possession::Signed(signed) => check_signed(state, certificate, by, signed, at),
    }
}

/// Whether the group's organization is the only one, so that whoever may change all of it is the operator.
fn is_alone(state: &System, by: GroupOfOrganization) -> bool {
    state.organizations.len() == 1 && state.organizations.contains_key(&by.organization)
}

fn check_signed(
    state: &System,
    certificate: &ClaimedCertificate,
    by: GroupOfOrganization,
    signed: &SignedChallenge,
    at: Timestamp,
) -> Result<(), Unproven> {
    let (text, shown) = signed.challenge.rsplit_once("; seal=").ok_or(Unproven::Foreign)?;
    let until = text
        .rsplit_once("; until=")
        .and_then(|(_, until)| until.parse().ok());
    let until = Timestamp(until.ok_or(Unproven::Foreign)?);
    if unsealed(state, by, until).as_deref() != Some(text) {
        return Err(Unproven::Foreign);
    }
    let sealed = seal(state, text).ok_or(Unproven::Foreign)?;
    verify_slices_are_equal(sealed.as_bytes(), shown.as_bytes()).map_err(|_| Unproven::Foreign)?;
    if until < at {
        return Err(Unproven::TooLate(until));
    }
    let signature: String = signed.signature.split_ascii_whitespace().collect();
    let signature = STANDARD.decode(signature).map_err(|_| Unproven::Signature)?;
    let (_, holder) = X509Certificate::from_der(certificate.der()).map_err(|_| Unproven::Signature)?;
    match verifies(holder.public_key(), signed.challenge.as_bytes(), &signature) {
        true => Ok(()),
        false => Err(Unproven::Signature),
    }
}

fn unsealed(state: &System, by: GroupOfOrganization, until: Timestamp) -> Option<String> {
    let (installation, group) = (state.log_id?, by.group);
    let until = until.0;
    Some(format!(
        "{CHALLENGE_BEGINS}installation={installation}; group={group}; until={until}"
    ))
}

/// Made with the built-in CA's key, which every process of the installation has; the text says what it is for.
fn seal(state: &System, text: &str) -> Option<String> {
    let authority = state.authority.as_ref();
    let authority = authority.filter(|authority| !authority.key.expose().is_empty())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, authority.key.expose().as_bytes());
    Some(URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())))
}
