//! Amazon's access tokens: kept in memory, refreshed only when needed, once however many ask.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use amazon::{AccessToken, LwaError};
use crds::NamespacedReference;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::credentials::Provenance;

/// A token with less life than this is not used: the call it is attached to may take a while to arrive.
const LEAST_LIFE: Duration = Duration::from_secs(30);
/// In its last minutes a token in use is refreshed ahead, while it still serves.
const REFRESH_AHEAD: Duration = Duration::from_secs(300);
/// How long after a refresh ahead of time failed the old token serves before the next attempt.
const AHEAD_PAUSE: Duration = Duration::from_secs(10);
/// How long a refusal is believed before Amazon is asked again; a new credential is asked for at once.
const REFUSAL_KEPT: Duration = Duration::from_secs(60);
/// How long after a passing failure Amazon is left alone.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// Why there is no token. Shared by all who wait for the same refresh.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Amazon refused, or did not answer.
    #[error(transparent)]
    Amazon(#[from] LwaError),
    /// A credential is missing or does not open.
    #[error(transparent)]
    Credential(#[from] crate::credentials::CredentialError),
    /// The use of the credential could not be recorded, so it was not used.
    #[error("the use of the credential could not be recorded")]
    NotRecorded,
    /// The Selling Partner API refuses even a new token.
    #[error("the new token was refused at once")]
    DeadOnArrival,
    /// The refresh ended without a result.
    #[error("the refresh was interrupted")]
    Interrupted,
}

/// An access token and when it ends.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    ends: Instant,
}

type Outcome = Result<Arc<Token>, TokenError>;

#[derive(Default)]
struct Entry {
    provenance: Option<Provenance>,
    kept: Option<Kept>,
    flight: Option<watch::Receiver<Option<Outcome>>>,
    /// When a refresh ahead of time last failed.
    ahead_failed_at: Option<Instant>,
}

enum Kept {
    Token(Arc<Token>),
    Failure(TokenError, Instant),
}

/// One entry a connection; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Tokens(Arc<Mutex<HashMap<NamespacedReference, Entry>>>);

impl Tokens {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<NamespacedReference, Entry>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A token for the connection, made from these credentials. `refresh` runs in a task of its own, at most one at a
    /// time for a connection; a caller that leaves does not cancel it.
    pub(crate) async fn token<F>(
        &self,
        connection: &NamespacedReference,
        provenance: Provenance,
        refresh: impl FnOnce() -> F,
    ) -> Outcome
    where
        F: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
    {
        let mut flight = {
            let mut entries = self.entries();
            let entry = entries.entry(connection.clone()).or_default();
            if entry.provenance.as_ref() != Some(&provenance) {
                // Other credentials: what the old ones gave is dead, and a refresh under way is not ours.
                *entry = Entry { provenance: Some(provenance.clone()), ..Entry::default() };
            }
            let now = Instant::now();
            let usable = entry.usable(now);
            if let Some(answer) = &usable
                && !entry.is_due(now)
            {
                return answer.clone();
            }
            // A flight whose sender is gone ended in a panic: nobody else takes it away.
            let flight = match entry.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
                Some(flight) => flight.clone(),
                None => {
                    let (sender, flight) = watch::channel(None);
                    entry.flight = Some(flight.clone());
                    let (tokens, connection, work) = (self.clone(), connection.clone(), refresh());
                    tokio::spawn(async move {
                        // Dropping the sender without a result tells the waiting that the task was ended.
                        let outcome = finish(work.await);
                        tokens.keep(&connection, &provenance, &outcome);
                        sender.send_replace(Some(outcome));
                    });
                    flight
                }
            };
            if let Some(answer) = usable {
                return answer;
            }
            flight
        };
        let outcome = match flight.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        outcome.unwrap_or(Err(TokenError::Interrupted))
    }

    /// Forgets a token that Amazon said is dead. Another one that was made since is kept.
    pub(crate) fn forget(&self, connection: &NamespacedReference, dead: &Arc<Token>) {
        if let Some(entry) = self.entries().get_mut(connection)
            && matches!(&entry.kept, Some(Kept::Token(token)) if Arc::ptr_eq(token, dead))
        {
            entry.kept = None;
        }
    }

    /// Forgets a token that is dead although it was new, and asks for no other one for a moment: each would be refused.
    pub(crate) fn refuse(&self, connection: &NamespacedReference, dead: &Arc<Token>) {
        if let Some(entry) = self.entries().get_mut(connection)
            && matches!(&entry.kept, Some(Kept::Token(token)) if Arc::ptr_eq(token, dead))
        {
            entry.kept = Some(Kept::Failure(TokenError::DeadOnArrival, Instant::now()));
        }
    }

    fn keep(&self, connection: &NamespacedReference, provenance: &Provenance, outcome: &Outcome) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(connection).filter(|entry| entry.provenance.as_ref() == Some(provenance))
        else {
            return;
        };
        entry.flight = None;
        match outcome {
            Ok(token) => {
                entry.kept = Some(Kept::Token(token.clone()));
                entry.ahead_failed_at = None;
            }
            // A refresh ahead of time that failed takes nothing away while the old token lives, unless Amazon refused.
            Err(error) if !is_refusal(error) && entry.token(Instant::now()).is_some() => {
                entry.ahead_failed_at = Some(Instant::now());
            }
            Err(error) => entry.kept = Some(Kept::Failure(error.clone(), Instant::now())),
        }
    }
}

impl Entry {
    fn token(&self, now: Instant) -> Option<&Arc<Token>> {
        match &self.kept {
            Some(Kept::Token(token)) if token.ends.saturating_duration_since(now) > LEAST_LIFE => Some(token),
            _ => None,
        }
    }

    fn usable(&self, now: Instant) -> Option<Outcome> {
        match &self.kept {
            Some(Kept::Failure(error, since)) => {
                let kept = if is_refusal(error) { REFUSAL_KEPT } else { FAILURE_KEPT };
                (now.saturating_duration_since(*since) < kept).then(|| Err(error.clone()))
            }
            _ => self.token(now).cloned().map(Ok),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let paused = self.ahead_failed_at.is_some_and(|then| now.saturating_duration_since(then) < AHEAD_PAUSE);
        !paused && self.token(now).is_some_and(|token| token.ends.saturating_duration_since(now) < REFRESH_AHEAD)
    }
}

/// Whether Amazon will say the same again until someone changes something.
pub(crate) const fn is_refusal(error: &TokenError) -> bool {
    matches!(error, TokenError::Amazon(LwaError::InvalidGrant | LwaError::InvalidClient | LwaError::Refused(_)))
}

fn finish(answer: Result<AccessToken, TokenError>) -> Outcome {
    let answer = answer?;
    Ok(Arc::new(Token { secret: answer.token, ends: Instant::now() + answer.expires_in }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn connection() -> NamespacedReference {
        NamespacedReference { namespace: "acme".into(), name: "acme-na".into() }
    }

    fn answer(text: &str, seconds: u64) -> Result<AccessToken, TokenError> {
        Ok(AccessToken { token: text.into(), expires_in: Duration::from_secs(seconds) })
    }

    #[tokio::test]
    async fn many_callers_cause_one_refresh_and_a_leaving_one_does_not_cancel_it() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        let (release, gate) = tokio::sync::watch::channel(false);
        let ask = || {
            let (tokens, count, mut gate) = (tokens.clone(), count.clone(), gate.clone());
            tokio::spawn(async move {
                tokens
                    .token(&connection(), Provenance::of(1), || async move {
                        count.fetch_add(1, Ordering::SeqCst);
                        gate.wait_for(|open| *open).await.map_err(|_| TokenError::Interrupted)?;
                        answer("one", 3600)
                    })
                    .await
            })
        };
        let first = ask();
        while count.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..50).map(|_| ask()).collect();
        first.abort();
        tokio::task::yield_now().await;
        release.send_replace(true);
        for other in others {
            assert!(other.await.unwrap().is_ok());
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_token_is_used_until_it_is_due_and_forgotten_when_dead() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |seconds, generation| {
            let count = count.clone();
            let tokens = tokens.clone();
            async move {
                tokens
                    .token(&connection(), Provenance::of(generation), || async move {
                        count.fetch_add(1, Ordering::SeqCst);
                        answer("t", seconds)
                    })
                    .await
                    .unwrap()
            }
        };
        let token = ask(3600, 1).await;
        ask(3600, 1).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
        tokens.forget(&connection(), &token);
        let second = ask(3600, 1).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        tokens.forget(&connection(), &token);
        assert!(Arc::ptr_eq(&ask(3600, 1).await, &second), "an older token's death says nothing of a newer one");
        ask(3600, 2).await;
        assert_eq!(count.load(Ordering::SeqCst), 3, "another credential is another token");
    }

    #[tokio::test]
    async fn a_short_lived_token_is_not_reused() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..3 {
            let count = count.clone();
            let refresh = || async move {
                count.fetch_add(1, Ordering::SeqCst);
                answer("t", 10)
            };
            tokens.token(&connection(), Provenance::of(1), refresh).await.unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_refusal_is_remembered_until_the_credential_changes() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        for generation in [1, 1, 1, 2] {
            let count = count.clone();
            let refresh = || async move {
                count.fetch_add(1, Ordering::SeqCst);
                Err(TokenError::Amazon(LwaError::InvalidGrant))
            };
            let error = tokens.token(&connection(), Provenance::of(generation), refresh).await.unwrap_err();
            assert!(is_refusal(&error));
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_refresh_ahead_of_time_that_fails_is_not_tried_at_every_call() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..20 {
            let asked = count.clone();
            let refresh = || async move {
                match asked.fetch_add(1, Ordering::SeqCst) {
                    // Good for a while yet, and due.
                    0 => answer("t", 200),
                    _ => Err(TokenError::NotRecorded),
                }
            };
            assert!(tokens.token(&connection(), Provenance::of(1), refresh).await.is_ok());
            while tokens.entries()[&connection()].flight.is_some() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_refresh_that_panics_does_not_end_all_later_ones() {
        let tokens = Tokens::default();
        let panics = || async { panic!("a fault in the refresh") };
        let error = tokens.token(&connection(), Provenance::of(1), panics).await.unwrap_err();
        assert!(matches!(error, TokenError::Interrupted));
        let works = || async { answer("t", 3600) };
        assert!(tokens.token(&connection(), Provenance::of(1), works).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_that_is_dead_on_arrival_is_not_followed_by_another_at_once() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        let refresh = || {
            let count = count.clone();
            || async move {
                count.fetch_add(1, Ordering::SeqCst);
                answer("t", 3600)
            }
        };
        let token = tokens.token(&connection(), Provenance::of(1), refresh()).await.unwrap();
        tokens.refuse(&connection(), &token);
        let error = tokens.token(&connection(), Provenance::of(1), refresh()).await.unwrap_err();
        assert!(matches!(error, TokenError::DeadOnArrival));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(tokens.token(&connection(), Provenance::of(2), refresh()).await.is_ok());
    }
}
