//! Lets instances in by their tokens or certificates, and out again within a second once those admit no more: revoked,
//! expired, or their group deleted (DESIGN §7, §11).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::fingerprint::Fingerprint;
use domain::token::{self, TokenHash};
use domain::{Clock, Timestamp};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::group_authorities;
use crate::instance_tokens::{self, Admission, Denied, SharedTokens, StoredToken, TokensUnavailable};
use crate::node_certificates::{
    self, CertificateDenied, CertificateHolder, CertificatesUnavailable, SharedCertificates,
};

/// How often the credentials in use are looked up again.
const RECHECK: Duration = Duration::from_millis(500);

/// Why a connection isn't taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// For good, because of its token.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// For good, because of its certificate.
    #[error(transparent)]
    CertificateDenied(#[from] CertificateDenied),
    /// For the moment.
    #[error(transparent)]
    Unavailable(#[from] TokensUnavailable),
    /// For the moment.
    #[error(transparent)]
    CertificatesUnavailable(#[from] CertificatesUnavailable),
}

impl Refused {
    /// Its name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Denied(_) => "token",
            Self::CertificateDenied(denied) => denied.name(),
            Self::Unavailable(_) | Self::CertificatesUnavailable(_) => "unavailable",
        }
    }
}

/// A credential that has been let in.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What it admits to.
    pub admission: Admission,
    /// `token:<id>` or `certificate:<fingerprint>`.
    pub credential: String,
    /// The certificate, where that is what was shown.
    pub certificate: Option<ShownCertificate>,
    /// Ends when the credential admits no more, or the process ends.
    pub withdrawn: CancellationToken,
}

impl Pass {
    /// What of its group's it is let in by: the certificates that an authority issues share one account.
    pub(crate) fn account(&self) -> String {
        match self.certificate {
            Some(shown) => format!("{}/{}", self.admission.group, shown.listed),
            None => self.credential.clone(),
        }
    }
}

/// A certificate that has been let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The id of the certificate in the group's list which it is, or which issued it.
    pub listed: Uuid,
    /// What it is.
    pub fingerprint: Fingerprint,
    /// When it ends, in seconds since the epoch.
    pub expires_at: i64,
}

/// A credential in use, and how it is looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Credential {
    Token(TokenHash),
    Pinned(Fingerprint),
    /// Issued by the CA with this id in its group's list.
    Issued(Fingerprint, Uuid),
}

/// What a credential in use has let in.
#[derive(Clone, Debug)]
struct InUse {
    admission: Admission,
    /// The certificate's id in the group's list, where it is one of these.
    listed: Option<Uuid>,
    /// When it ends by itself, in seconds since the epoch.
    expires_at: Option<i64>,
    connections: CancellationToken,
}

/// Judges credentials and remembers those in use.
pub struct Gatekeeper {
    tokens: SharedTokens,
    certificates: SharedCertificates,
    clock: Arc<dyn Clock>,
    in_use: Mutex<HashMap<Credential, InUse>>,
    shutdown: CancellationToken,
}

impl Gatekeeper {
    /// A gatekeeper over these credentials; everybody is out when the process ends.
    pub fn new(
        tokens: SharedTokens,
        certificates: SharedCertificates,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            tokens,
            certificates,
            clock,
            in_use: Mutex::default(),
            shutdown,
        }
    }

    /// Judges the bearer of a token.
    pub async fn admit(&self, bearer: Option<&str>) -> Result<Pass, Refused> {
        let bearer = bearer.ok_or(Denied::NoToken)?;
        let hash = token::read(bearer).map_err(|_| Denied::NotValid)?;
        let stored = self.tokens.token(hash).await?;
        let admission = instance_tokens::admit(stored.as_ref(), self.clock.now())?;
        let record = stored.map(|StoredToken { record, .. }| record);
        let expires_at = record.as_ref().and_then(|record| record.expires_at);
        let expires_at = expires_at.map(Timestamp::seconds);
        Ok(Pass {
            admission,
            credential: record
                .map(|record| format!("token:{}", record.id))
                .unwrap_or_default(),
            certificate: None,
            withdrawn: self.in_use_by(Credential::Token(hash), admission, None, expires_at),
        })
    }

    /// Judges the holder of a certificate, which came with the others that lead to its issuer.
    pub async fn admit_certificate(&self, chain: &[CertificateDer<'_>]) -> Result<Pass, Refused> {
        let leaf = chain.first().ok_or(CertificateDenied::None)?;
        let (fingerprint, now) = (Fingerprint::of(leaf), self.clock.now());
        let expires_at = group_authorities::expiry(leaf)
            .filter(|_| group_authorities::is_valid(leaf, now))
            .ok_or(CertificateDenied::NotValid(fingerprint))?;
        let (admission, listed, credential) = match self.admitted_before(fingerprint) {
            Some((admission, listed)) => (admission, listed, Credential::Pinned(fingerprint)),
            None => self.judge(fingerprint, chain).await?,
        };
        Ok(Pass {
            admission,
            credential: format!("certificate:{fingerprint}"),
            certificate: Some(ShownCertificate {
                listed,
                fingerprint,
                expires_at,
            }),
            withdrawn: self.in_use_by(credential, admission, Some(listed), Some(expires_at)),
        })
    }

    /// What a pinned certificate in use opens: all nodes of a group may have the same one, and it is looked up again all
    /// the time. The first instance settles the group's type, so it isn't asked for again.
    fn admitted_before(&self, fingerprint: Fingerprint) -> Option<(Admission, Uuid)> {
        let in_use = self.in_use();
        let used = in_use.get(&Credential::Pinned(fingerprint))?;
        let admission = Admission {
            first: false,
            ..used.admission
        };
        Some((admission, used.listed?))
    }

    async fn judge(
        &self,
        fingerprint: Fingerprint,
        chain: &[CertificateDer<'_>],
    ) -> Result<(Admission, Uuid, Credential), Refused> {
        if let Some(holder) = self.certificates.pinned(fingerprint).await? {
            let admission = node_certificates::admit(fingerprint, &holder)?;
            return Ok((admission, holder.certificate, Credential::Pinned(fingerprint)));
        }
        let authorities = self.certificates.authorities().await?;
        let holder = group_authorities::issuer(chain, &authorities, self.clock.now())
            .map_err(|why| CertificateDenied::Unknown(fingerprint, why))?;
        let admission = node_certificates::admit(fingerprint, holder)?;
        let credential = Credential::Issued(fingerprint, holder.certificate);
        Ok((admission, holder.certificate, credential))
    }

    fn in_use_by(
        &self,
        credential: Credential,
        admission: Admission,
        listed: Option<Uuid>,
        expires_at: Option<i64>,
    ) -> CancellationToken {
        let new = || InUse {
            admission,
            listed,
            expires_at,
            connections: self.shutdown.child_token(),
        };
        let mut in_use = self.in_use();
        let used = in_use.entry(credential).or_insert_with(new);
        if used.admission.group != admission.group {
            // It was taken away from the one group and given to the other between two checks.
            used.connections.cancel();
            *used = new();
        }
        used.connections.child_token()
    }

    /// Looks the credentials in use up again and again, until the process ends.
    pub(crate) async fn recheck(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RECHECK) => (),
                () = self.shutdown.cancelled() => return,
            }
            self.withdraw_expired();
            // While they can't be looked up nobody is thrown out: instances outlive a control plane in trouble.
            self.recheck_tokens().await;
            self.recheck_pinned().await;
            self.recheck_issued().await;
        }
    }

    /// What has ended by itself needn't be looked up.
    fn withdraw_expired(&self) {
        let now = self.clock.now().seconds();
        let ended =
            self.used(|credential, used| used.expires_at.filter(|end| *end < now).map(|_| *credential));
        for credential in ended {
            self.withdraw(credential, &"it has expired");
        }
    }

    async fn recheck_tokens(&self) {
        let hashes = self.used(|credential, _| match credential {
            Credential::Token(hash) => Some(*hash),
            _ => None,
        });
        let Ok(tokens) = self.tokens.tokens(&hashes).await else {
            return;
        };
        for (hash, stored) in hashes.into_iter().zip(tokens) {
            if let Err(denied) = instance_tokens::admit(stored.as_ref(), self.clock.now()) {
                self.withdraw(Credential::Token(hash), &denied);
            }
        }
    }

    async fn recheck_pinned(&self) {
        let used = self.used(|credential, used| match credential {
            Credential::Pinned(fingerprint) => Some((*fingerprint, used.clone())),
            _ => None,
        });
        let fingerprints: Vec<_> = used.iter().map(|(fingerprint, _)| *fingerprint).collect();
        let Ok(holders) = self.certificates.pinned_now(&fingerprints).await else {
            return;
        };
        for ((fingerprint, used), holder) in used.into_iter().zip(holders) {
            if let Err(denied) = self.still_admitted(fingerprint, &used, holder.as_ref()) {
                self.withdraw(Credential::Pinned(fingerprint), &denied);
            }
        }
    }

    async fn recheck_issued(&self) {
        let used = self.used(|credential, used| match credential {
            Credential::Issued(fingerprint, authority) => Some((*fingerprint, *authority, used.clone())),
            _ => None,
        });
        if used.is_empty() {
            return;
        }
        let Ok(authorities) = self.certificates.authorities().await else {
            return;
        };
        let holders: HashMap<Uuid, &CertificateHolder> = authorities
            .iter()
            .map(|authority| (authority.holder.certificate, &authority.holder))
            .collect();
        for (fingerprint, authority, used) in used {
            let holder = holders.get(&authority).copied();
            if let Err(denied) = self.still_admitted(fingerprint, &used, holder) {
                self.withdraw(Credential::Issued(fingerprint, authority), &denied);
            }
        }
    }

    fn still_admitted(
        &self,
        fingerprint: Fingerprint,
        used: &InUse,
        holder: Option<&CertificateHolder>,
    ) -> Result<(), CertificateDenied> {
        let revoked = || CertificateDenied::Unknown(fingerprint, "it was revoked".to_owned());
        let holder = holder
            .filter(|holder| holder.group == used.admission.group)
            .ok_or_else(revoked)?;
        node_certificates::admit(fingerprint, holder)?;
        match used.expires_at {
            Some(end) if end < self.clock.now().seconds() => Err(CertificateDenied::NotValid(fingerprint)),
            _ => Ok(()),
        }
    }

    fn used<Out>(&self, look: impl Fn(&Credential, &InUse) -> Option<Out>) -> Vec<Out> {
        let in_use = self.in_use();
        in_use
            .iter()
            .filter_map(|(credential, used)| look(credential, used))
            .collect()
    }

    fn withdraw(&self, credential: Credential, denied: &dyn std::fmt::Display) {
        if let Some(used) = self.in_use().remove(&credential) {
            tracing::info!(reason = %denied, "a credential admits no more; its connections are closed");
            used.connections.cancel();
        }
    }

    fn in_use(&self) -> MutexGuard<'_, HashMap<Credential, InUse>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
