//! Tokens, kept until shortly before they expire.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential};
use tokio::sync::Mutex;

use crate::secret::Secret;

/// Before its end by this much a token is renewed; the old one serves on while
/// that fails. The SDK's credentials have the same margin, so a renewal that is
/// asked for earlier would be answered with the old token.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// A token with less left is not sent any more.
const USELESS_BEFORE: Duration = Duration::from_secs(30);
/// After a failed renewal nobody tries again for this long.
const RENEW_PAUSE: Duration = Duration::from_secs(20);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no token for {scope}: {message}")]
pub struct TokenError {
    /// What it was to be for.
    pub scope: String,
    /// What each credential said.
    pub message: String,
}

/// Where tokens come from.
#[async_trait]
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// A token that is valid for a while.
    async fn token(&self) -> Result<Secret<String>, TokenError>;

    /// The service refused this token; the next one should be another.
    async fn refused(&self, token: &Secret<String>);
}

/// Makes a credential anew.
type Renew = Box<dyn Fn() -> Option<Arc<dyn TokenCredential>> + Send + Sync>;

/// A credential's tokens for one scope.
pub(crate) struct TokenCache {
    scope: String,
    state: Mutex<State>,
    renew: Renew,
}

struct State {
    credential: Arc<dyn TokenCredential>,
    token: Option<AccessToken>,
    /// When a renewal failed.
    failed: Option<tokio::time::Instant>,
}

impl TokenCache {
    /// `renew` makes the credential anew. The SDK's credentials keep tokens of
    /// their own and believe in them until their end, by this machine's clock;
    /// where the service does not, only a new credential gets another token.
    pub(crate) fn new(
        credential: Arc<dyn TokenCredential>,
        scope: String,
        renew: impl Fn() -> Option<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            scope,
            state: Mutex::new(State {
                credential,
                token: None,
                failed: None,
            }),
            renew: Box::new(renew),
        }
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// How long a token still serves.
fn left(token: &AccessToken) -> Duration {
    SystemTime::from(token.expires_on)
        .duration_since(SystemTime::now())
        .unwrap_or_default()
}

fn text(token: &AccessToken) -> Secret<String> {
    Secret::new(token.token.secret().to_owned())
}

#[async_trait]
impl TokenSource for TokenCache {
    async fn token(&self) -> Result<Secret<String>, TokenError> {
        // Held while a token is fetched: one request serves all who wait.
        let mut state = self.state.lock().await;
        let usable = state
            .token
            .as_ref()
            .filter(|token| left(token) > USELESS_BEFORE)
            .cloned();
        if let Some(token) = &usable {
            let failed_lately = state.failed.is_some_and(|at| at.elapsed() < RENEW_PAUSE);
            if left(token) > RENEW_BEFORE || failed_lately {
                return Ok(text(token));
            }
        }
        let credential = Arc::clone(&state.credential);
        match credential.get_token(&[&self.scope], None).await {
            Ok(token) => {
                let answer = text(&token);
                state.token = Some(token);
                state.failed = None;
                Ok(answer)
            }
            Err(error) => {
                state.failed = Some(tokio::time::Instant::now());
                match usable {
                    Some(token) => {
                        tracing::warn!(scope = %self.scope, %error, "the token could not be renewed; the old one still serves");
                        Ok(text(&token))
                    }
                    None => Err(TokenError {
                        scope: self.scope.clone(),
                        message: error.to_string(),
                    }),
                }
            }
        }
    }

    async fn refused(&self, token: &Secret<String>) {
        let mut state = self.state.lock().await;
        if state
            .token
            .as_ref()
            .is_some_and(|kept| kept.token.secret() == token.expose())
        {
            state.token = None;
            if let Some(credential) = (self.renew)() {
                state.credential = credential;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core::credentials::TokenRequestOptions;
    use azure_core::time::OffsetDateTime;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Hands out `t1`, `t2`, …; fails from the second on if told so.
    #[derive(Debug)]
    struct Numbered {
        calls: AtomicU32,
        lives: Duration,
        fails_later: bool,
    }

    #[async_trait]
    impl TokenCredential for Numbered {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            if self.fails_later && call > 1 {
                return Err(azure_core::Error::with_message(
                    azure_core::error::ErrorKind::Credential,
                    "the authority is away",
                ));
            }
            Ok(AccessToken::new(
                format!("t{call}"),
                OffsetDateTime::from(SystemTime::now() + self.lives),
            ))
        }
    }

    fn cache(lives: u64, fails_later: bool) -> TokenCache {
        let credential = Numbered {
            calls: AtomicU32::new(0),
            lives: Duration::from_secs(lives),
            fails_later,
        };
        TokenCache::new(Arc::new(credential), "scope".into(), || None)
    }

    async fn next(cache: &TokenCache) -> String {
        cache.token().await.unwrap().into_exposed()
    }

    #[tokio::test]
    async fn a_token_is_kept_until_shortly_before_its_end() {
        let long = cache(3600, false);
        assert_eq!(
            (next(&long).await, next(&long).await),
            ("t1".into(), "t1".into())
        );
        let short = cache(200, false);
        assert_eq!(
            (next(&short).await, next(&short).await),
            ("t1".into(), "t2".into())
        );
    }

    #[tokio::test]
    async fn while_renewal_fails_the_old_token_serves_until_it_is_useless() {
        let ending = cache(200, true);
        assert_eq!(
            (next(&ending).await, next(&ending).await),
            ("t1".into(), "t1".into())
        );
        let useless = cache(20, true);
        assert_eq!(next(&useless).await, "t1");
        assert_eq!(
            useless.token().await.unwrap_err().to_string(),
            "no token for scope: the authority is away"
        );
    }

    #[tokio::test]
    async fn a_refused_token_is_not_handed_out_again() {
        let tokens = cache(3600, false);
        let first = tokens.token().await.unwrap();
        tokens.refused(&Secret::new("another".into())).await;
        assert_eq!(next(&tokens).await, "t1");
        tokens.refused(&first).await;
        assert_eq!(next(&tokens).await, "t2");
    }
}
