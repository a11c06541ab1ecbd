//! The built-in certificate authority (DESIGN §7): made at the first start, kept in the log, so that runtime instances can check
//! whom they talk to without anybody buying a certificate.

use domain::system::Authority;
use domain::{Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use zeroize::Zeroizing;

/// How long the authority is valid: as long as the hosted product's certificates.
const VALID_YEARS: i32 = 10;

/// Makes an authority that is valid from `now` on.
pub fn create(now: Timestamp) -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Runtime Manager");
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (year, month, day) = date(now);
    parameters.not_before = rcgen::date_time_ymd(year, month, day);
    parameters.not_after = rcgen::date_time_ymd(year + VALID_YEARS, month, day.min(28));
    let certificate = parameters.self_signed(&key)?;
    let key = Zeroizing::new(key.serialize_pem());
    Ok(Authority {
        certificate: certificate.pem(),
        key: Secret::new(key.to_string()),
    })
}

/// Year, month and day of the time before, so that a clock slightly behind finds the certificate valid too.
fn date(now: Timestamp) -> (i32, u8, u8) {
    use chrono::{DateTime, Datelike};
    let yesterday = now.plus_seconds(-24 * 60 * 60);
    let time = DateTime::from_timestamp_millis(yesterday.0).unwrap_or_default();
    let small = |number: u32| u8::try_from(number).unwrap_or(1);
    (time.year(), small(time.month()), small(time.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_certificate_that_may_sign_and_its_key() {
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        let authority = create(now).unwrap();
        let key = KeyPair::from_pem(authority.key.expose()).unwrap();
        rcgen::Issuer::from_ca_cert_pem(&authority.certificate, key).unwrap();
    }
}
