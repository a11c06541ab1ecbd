//! Lets instances in by their tokens, and out again within a second once a token is revoked, expires, or its group is
//! deleted (DESIGN §7, §11).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Clock;
use domain::token::{self, TokenHash};
use tokio_util::sync::CancellationToken;

use crate::instance_tokens::{Admission, Denied, SharedTokens, StoredToken, TokensUnavailable, admit};

/// How often the tokens in use are looked up again.
const RECHECK: Duration = Duration::from_millis(500);

/// Why a connection isn't taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// For good.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// For the moment.
    #[error(transparent)]
    Unavailable(#[from] TokensUnavailable),
}

/// A token that has been let in.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What it admits to.
    pub admission: Admission,
    /// `token:<id>`.
    pub credential: String,
    /// Ends when the token admits no more, or the process ends.
    pub withdrawn: CancellationToken,
}

/// Judges tokens and remembers those in use.
pub struct Gatekeeper {
    tokens: SharedTokens,
    clock: Arc<dyn Clock>,
    in_use: Mutex<HashMap<TokenHash, CancellationToken>>,
    shutdown: CancellationToken,
}

impl Gatekeeper {
    /// A gatekeeper over these tokens; everybody is out when the process ends.
    pub fn new(tokens: SharedTokens, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        Self {
            tokens,
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
        let admission = admit(stored.as_ref(), self.clock.now())?;
        let id = stored.map(|StoredToken { record, .. }| record.id);
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let token = in_use.entry(hash).or_insert_with(|| self.shutdown.child_token());
        Ok(Pass {
            admission,
            credential: id.map(|id| format!("token:{id}")).unwrap_or_default(),
            withdrawn: token.child_token(),
        })
    }

    /// Looks the tokens in use up again and again, until the process ends.
    pub(crate) async fn recheck(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RECHECK) => (),
                () = self.shutdown.cancelled() => return,
            }
            let hashes = self.hashes();
            // While tokens can't be looked up nobody is thrown out: instances outlive a control plane in trouble.
            let Ok(tokens) = self.tokens.tokens(&hashes).await else {
                continue;
            };
            for (hash, stored) in hashes.into_iter().zip(tokens) {
                if let Err(denied) = admit(stored.as_ref(), self.clock.now()) {
                    self.withdraw(hash, denied);
                }
            }
        }
    }

    fn hashes(&self) -> Vec<TokenHash> {
        let in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.keys().copied().collect()
    }

    fn withdraw(&self, hash: TokenHash, denied: Denied) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = in_use.remove(&hash) {
            tracing::info!(reason = %denied, "a token admits no more; its connections are closed");
            connections.cancel();
        }
    }
}
