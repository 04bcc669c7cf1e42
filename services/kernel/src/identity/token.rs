//! Tokens: a secret that is shown once and a hash that is kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use super::Caller;
use crate::{
    config::{Limits, ms},
    error::Result,
    ledger::MISSED,
};

/// What every token begins with, so that one in the wrong place is found.
const PREFIX: &str = "qst_";

/// What the node's processes are told when a token was revoked.
pub(super) const TOKEN_REVOKED: &str = "token revoked";

/// Where tokens are kept.
pub trait Tokens: Send + Sync {
    /// The caller a token's hash stands for, if it is known and not revoked.
    fn find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>>;
}

/// A token's secret, shown once, and its hash, which is kept.
#[must_use]
pub fn generate_token(random: [u8; 32]) -> (String, String) {
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hash_token(&secret);
    (secret, hash)
}

/// SHA-256 in hexadecimal. The secret has 256 bits of its own, so it needs no salt and no slow hash.
#[must_use]
pub fn hash_token(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Tokens, with those found kept for a moment: a call costs no query, and a token that another process revoked works for
/// that moment longer at most; mostly its word is here at once. Only what was found is kept, so guesses fill nothing.
pub struct CachedTokens {
    tokens: Arc<dyn Tokens>,
    keep: Duration,
    max_tokens: usize,
    found: Mutex<HashMap<String, (Caller, Instant)>>,
}

impl CachedTokens {
    /// A cache before `tokens`.
    #[must_use]
    pub fn new(tokens: Arc<dyn Tokens>, limits: &Limits) -> Self {
        let (keep, max_tokens) = (ms(limits.token_cache_ms), limits.token_cache_max_tokens);
        Self { tokens, keep, max_tokens, found: Mutex::default() }
    }

    /// Asks again for every token: after one was revoked here.
    pub fn forget(&self) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks again whenever another process of the node says that one was revoked; ends with those who say so.
    pub async fn hear(&self, mut words: broadcast::Receiver<String>) {
        loop {
            match words.recv().await {
                Ok(word) if word != TOKEN_REVOKED && word != MISSED => {}
                // What was missed may have been that.
                Ok(_) | Err(RecvError::Lagged(_)) => self.forget(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn kept(&self, hash: &str) -> Option<Caller> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(hash).filter(|(_, until)| *until > Instant::now()).map(|(caller, _)| caller.clone())
    }

    fn keep(&self, hash: &str, caller: &Caller) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= self.max_tokens {
            found.clear();
        }
        found.insert(hash.to_owned(), (caller.clone(), Instant::now() + self.keep));
    }
}

impl Tokens for CachedTokens {
    fn find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>> {
        Box::pin(async move {
            if let Some(caller) = self.kept(hash) {
                return Ok(Some(caller));
            }
            let caller = self.tokens.find(hash).await?;
            if let Some(caller) = &caller {
                self.keep(hash, caller);
            }
            Ok(caller)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{config::Config, identity::Role};

    #[test]
    fn a_token_is_known_by_its_hash() {
        let (secret, hash) = generate_token([1; 32]);
        assert!(secret.starts_with("qst_AQEB") && secret.len() == 47, "{secret}");
        assert_eq!((hash_token(&secret), hash.len()), (hash, 64));
    }

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Tokens for Counting {
        fn find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let caller = Caller::new(hash, Role::Reader, "64");
            Box::pin(async move { Ok((hash != "unknown").then_some(caller)) })
        }
    }

    fn cached(token_cache_ms: u64) -> (Arc<Counting>, CachedTokens) {
        let limits = Limits { token_cache_ms, token_cache_max_tokens: 2, ..Config::defaults().unwrap().limits };
        let counting = Arc::new(Counting::default());
        (counting.clone(), CachedTokens::new(counting, &limits))
    }

    /// Whether the one behind the cache was asked.
    async fn asked((counting, cached): &(Arc<Counting>, CachedTokens), hash: &str) -> bool {
        let before = counting.0.load(Ordering::SeqCst);
        let found = cached.find(hash).await.unwrap();
        assert_eq!(found.map(|caller| caller.actor), (hash != "unknown").then(|| hash.to_owned()));
        counting.0.load(Ordering::SeqCst) > before
    }

    #[tokio::test]
    async fn what_was_found_is_kept_for_a_moment() {
        let long = cached(3_600_000);
        assert!(asked(&long, "a").await && !asked(&long, "a").await);
        assert!(asked(&long, "unknown").await && asked(&long, "unknown").await);
        long.1.forget();
        assert!(asked(&long, "a").await);
        let (say, words) = broadcast::channel(4);
        for (word, forgets) in [("another", false), (TOKEN_REVOKED, true)] {
            say.send(word.to_owned()).unwrap();
            let heard = tokio::time::timeout(Duration::from_millis(50), long.1.hear(words.resubscribe()));
            say.send(word.to_owned()).unwrap();
            heard.await.unwrap_err();
            assert_eq!(asked(&long, "a").await, forgets, "{word}");
        }
        for other in ["b", "c", "d"] {
            assert!(asked(&long, other).await);
            assert!(long.1.found.lock().unwrap().len() <= 2);
        }
        let short = cached(0);
        assert!(asked(&short, "a").await && asked(&short, "a").await);
    }
}
