//! Certificates of instances end: what lists warn of, what `/metrics` counts, and what the log says once a day.

use std::sync::Arc;
use std::time::Duration;

use domain::organization::NodeCertificate;
use domain::{Clock, Timestamp};
use projections::{HeldCertificate, Projections, ViewError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

const SECONDS_OF_A_DAY: i64 = 86_400;
/// How many days before its end a certificate is warned of: time enough to renew it by hand.
pub const WARNING_DAYS: i64 = 30;
/// How often certificates are counted.
const ROUND: Duration = Duration::from_secs(60);

/// What to say to whoever looks at a certificate.
pub fn warnings(certificate: &NodeCertificate, now: Timestamp) -> Vec<String> {
    let end = certificate.content.not_after;
    let days = (end.seconds() - now.seconds()).div_euclid(SECONDS_OF_A_DAY);
    if certificate.content.has_expired(now) {
        vec![format!(
            "expired at {end}: its instances are refused, add another certificate and give it to them"
        )]
    } else if days < WARNING_DAYS {
        vec![format!(
            "expires in {days} days, at {end}: add another certificate and give it to its instances before"
        )]
    } else {
        Vec::new()
    }
}

/// Counts the certificates that end, until `end`; the process that leads says so in its log once a day.
pub async fn watch(projections: Projections, clock: Arc<dyn Clock>, end: CancellationToken) {
    let mut rounds = tokio::time::interval(ROUND);
    let mut said: Option<Timestamp> = None;
    while end.run_until_cancelled(rounds.tick()).await.is_some() {
        let now = clock.now();
        match count(&projections, now).await {
            Ok(Some(news)) => {
                let day_over = said.is_none_or(|at| at.plus_seconds(SECONDS_OF_A_DAY) <= now);
                if day_over && *projections.leading().borrow() {
                    warn!("{news}");
                    said = Some(now);
                }
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "certificates that expire can't be counted for the moment"),
        }
    }
}

/// Sets the gauges; answers what there is to say.
async fn count(projections: &Projections, now: Timestamp) -> Result<Option<String>, ViewError> {
    let soon = now.plus_seconds(WARNING_DAYS * SECONDS_OF_A_DAY);
    let ending = projections.views().certificates_expiring_before(soon).await?;
    let expired = |held: &&HeldCertificate| held.certificate.content.has_expired(now);
    let expired = ending.iter().filter(expired).count();
    metrics::gauge!("runtime_manager_certificates_expired").set(expired as f64);
    metrics::gauge!("runtime_manager_certificates_expiring").set((ending.len() - expired) as f64);
    Ok(ending.first().map(|first| {
        format!(
            "{} certificates of instances have expired and {} expire within {WARNING_DAYS} days; first {} of the runtime group '{}', at {}",
            expired,
            ending.len() - expired,
            first.certificate.content.subject,
            first.group.name,
            first.certificate.content.not_after,
        )
    }))
}

#[cfg(test)]
mod tests {
    use domain::fingerprint::Fingerprint;
    use domain::organization::CertificateContent;
    use domain::{GroupId, NodeCertificateId};
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn said_of_one_that_ends_in(days: i64) -> Vec<String> {
        let content = CertificateContent {
            pem: String::new(),
            fingerprint: Fingerprint([0; 32]),
            subject: "CN=edge".to_owned(),
            serial: "0".to_owned(),
            not_before: Timestamp(0),
            not_after: NOW.plus_seconds(days * SECONDS_OF_A_DAY),
            is_ca: false,
            version: 3,
        };
        let certificate = NodeCertificate {
            id: NodeCertificateId(Uuid::nil()),
            group: GroupId(Uuid::nil()),
            name: None,
            content,
            created_at: NOW,
            updated_at: NOW,
        };
        warnings(&certificate, NOW)
    }

    #[test]
    fn a_certificate_is_warned_of_thirty_days_before_its_end_and_after_it() {
        assert!(said_of_one_that_ends_in(30).is_empty());
        assert!(said_of_one_that_ends_in(29)[0].starts_with("expires in 29 days, at 2027-"));
        assert!(said_of_one_that_ends_in(0)[0].starts_with("expires in 0 days"));
        assert!(said_of_one_that_ends_in(-1)[0].starts_with("expired at 2027-"));
    }
}
