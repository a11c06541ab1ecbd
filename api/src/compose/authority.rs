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

/// From which year on it is valid, whatever the clock of the first start says: an authority that a clock made which was ahead
/// would be good for nothing when that is set right, and one of a clock that was decades behind would have ended.
const FIRST_YEAR: i32 = 2026;

/// Makes an authority that is valid now, and for years.
pub fn create(now: Timestamp) -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Runtime Manager");
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = rcgen::date_time_ymd(FIRST_YEAR, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year(now).max(FIRST_YEAR) + VALID_YEARS + 1, 1, 1);
    let certificate = parameters.self_signed(&key)?;
    let key = Zeroizing::new(key.serialize_pem());
    Ok(Authority {
        certificate: certificate.pem(),
        key: Secret::new(key.to_string()),
    })
}

fn year(now: Timestamp) -> i32 {
    use chrono::{DateTime, Datelike};
    DateTime::from_timestamp_millis(now.0).unwrap_or_default().year()
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

    #[test]
    fn an_authority_is_valid_whatever_the_clock_of_the_first_start_said() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        for first_start in [
            "1970-01-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
            "2031-03-01T00:00:00Z",
        ] {
            let authority = create(time(first_start)).unwrap();
            let content = domain::organization::CertificateContent::of_pem(&authority.certificate).unwrap();
            assert!(
                content.not_before <= time("2026-03-01T00:00:00Z"),
                "{first_start}"
            );
            assert!(content.not_after >= time("2036-03-01T00:00:00Z"), "{first_start}");
        }
    }
}
