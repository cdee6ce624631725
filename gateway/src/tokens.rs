//! Amazon's access tokens: kept in memory, refreshed only when needed, once however many ask.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use amazon::{AccessToken, LwaError};
use crds::{NamespacedReference, ProvenCredentials};
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
/// How long after a passing failure Amazon is left alone; doubled with each further one.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
const LONGEST_FAILURE_KEPT: Duration = Duration::from_secs(16);
/// How long after a new token was refused none is asked for: each would be refused.
pub(crate) const DEAD_ON_ARRIVAL_KEPT: Duration = Duration::from_secs(10);

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

/// Why there is no token, and until when it is not tried again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct NoToken {
    #[source]
    pub(crate) error: TokenError,
    until: Instant,
}

impl NoToken {
    fn new(error: TokenError, pause: Duration) -> Self {
        Self { error, until: Instant::now() + pause }
    }

    /// When asking again may help; for what people must mend it will not.
    pub(crate) fn retry_after(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// A moment by both clocks: the steady one stands still while the machine sleeps, the other can be set back.
#[derive(Clone, Copy, Debug)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    fn after(self, life: Duration) -> Self {
        Self { steady: self.steady + life, wall: self.wall + life }
    }

    /// How long until then, by the clock that says less.
    fn left(self, now: Self) -> Duration {
        let wall = self.wall.duration_since(now.wall).unwrap_or_default();
        self.steady.saturating_duration_since(now.steady).min(wall)
    }

    /// How long until then, by the clock that says more.
    fn left_at_most(self, now: Self) -> Duration {
        let wall = self.wall.duration_since(now.wall).unwrap_or_default();
        self.steady.saturating_duration_since(now.steady).max(wall)
    }
}

/// An access token and when it ends.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    ends: Moment,
    /// The Selling Partner API has taken it.
    taken: AtomicBool,
}

impl Token {
    /// How long it is good for.
    pub(crate) fn left(&self) -> Duration {
        self.ends.left(Moment::now())
    }

    /// How long Amazon may honour it.
    pub(crate) fn left_at_most(&self) -> Duration {
        self.ends.left_at_most(Moment::now())
    }
}

type Outcome = Result<Arc<Token>, NoToken>;

#[derive(Default)]
struct Entry {
    provenance: Option<Provenance>,
    kept: Option<Kept>,
    flight: Option<watch::Receiver<Option<Outcome>>>,
    /// When a refresh ahead of time last failed.
    ahead_failed_at: Option<Instant>,
    /// Passing failures in a row.
    failures: u32,
    /// New tokens in a row that the Selling Partner API refused.
    dead_on_arrival: u32,
}

enum Kept {
    Token(Arc<Token>),
    Failure(NoToken),
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
            let now = Moment::now();
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
                        let outcome = tokens.keep(&connection, &provenance, work.await);
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
        outcome.unwrap_or_else(|| Err(NoToken::new(TokenError::Interrupted, FAILURE_KEPT)))
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
    /// Once that has happened to two in a row it is Amazon's verdict, not a hiccup; then tells what on.
    pub(crate) fn refuse(&self, connection: &NamespacedReference, dead: &Arc<Token>) -> Option<ProvenCredentials> {
        let mut entries = self.entries();
        let entry = entries
            .get_mut(connection)
            .filter(|entry| matches!(&entry.kept, Some(Kept::Token(token)) if Arc::ptr_eq(token, dead)))?;
        entry.kept = Some(Kept::Failure(NoToken::new(TokenError::DeadOnArrival, DEAD_ON_ARRIVAL_KEPT)));
        entry.dead_on_arrival = entry.dead_on_arrival.saturating_add(1);
        entry.provenance.as_ref().filter(|_| entry.dead_on_arrival > 1).map(Provenance::credentials)
    }

    /// The Selling Partner API took a token. Where it had refused the ones before, tells what they were got with.
    pub(crate) fn taken(&self, connection: &NamespacedReference, token: &Arc<Token>) -> Option<ProvenCredentials> {
        if token.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        let mut entries = self.entries();
        let entry = entries
            .get_mut(connection)
            .filter(|entry| matches!(&entry.kept, Some(Kept::Token(kept)) if Arc::ptr_eq(kept, token)))?;
        let doubted = std::mem::take(&mut entry.dead_on_arrival) > 0;
        entry.provenance.as_ref().filter(|_| doubted).map(Provenance::credentials)
    }

    /// Whether new tokens of the connection were refused of late: that one was given says little then.
    pub(crate) fn are_doubted(&self, connection: &NamespacedReference) -> bool {
        self.entries().get(connection).is_some_and(|entry| entry.dead_on_arrival > 0)
    }

    fn keep(
        &self,
        connection: &NamespacedReference,
        provenance: &Provenance,
        answer: Result<AccessToken, TokenError>,
    ) -> Outcome {
        let now = Moment::now();
        let answer = answer.map(|answer| {
            Arc::new(Token { secret: answer.token, ends: now.after(answer.expires_in), taken: AtomicBool::new(false) })
        });
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(connection).filter(|entry| entry.provenance.as_ref() == Some(provenance))
        else {
            return answer.map_err(|error| NoToken::new(error, FAILURE_KEPT));
        };
        entry.flight = None;
        match answer {
            Ok(token) => {
                entry.kept = Some(Kept::Token(token.clone()));
                entry.ahead_failed_at = None;
                entry.failures = 0;
                Ok(token)
            }
            Err(error) => {
                let no_token = NoToken::new(error, Duration::ZERO);
                let refused = is_refusal(&no_token.error);
                // A refresh ahead of time that failed takes nothing away while the old token lives, unless Amazon refused.
                if !refused && entry.token(now).is_some() {
                    entry.ahead_failed_at = Some(now.steady);
                    return Err(no_token);
                }
                let pause = entry.pause(&no_token.error);
                let no_token = NoToken { until: now.steady + pause, ..no_token };
                entry.kept = Some(Kept::Failure(no_token.clone()));
                Err(no_token)
            }
        }
    }
}

impl Entry {
    fn token(&self, now: Moment) -> Option<&Arc<Token>> {
        match &self.kept {
            Some(Kept::Token(token)) if token.ends.left(now) > LEAST_LIFE => Some(token),
            _ => None,
        }
    }

    fn usable(&self, now: Moment) -> Option<Outcome> {
        match &self.kept {
            Some(Kept::Failure(failure)) => (now.steady < failure.until).then(|| Err(failure.clone())),
            _ => self.token(now).cloned().map(Ok),
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        let paused = self.ahead_failed_at.is_some_and(|then| now.steady.saturating_duration_since(then) < AHEAD_PAUSE);
        !paused && self.token(now).is_some_and(|token| token.ends.left(now) < REFRESH_AHEAD)
    }

    /// How long to leave Amazon alone after this failure.
    fn pause(&mut self, error: &TokenError) -> Duration {
        if is_refusal(error) {
            return REFUSAL_KEPT;
        }
        if !matches!(error, TokenError::Amazon(_)) {
            // Ours, not Amazon's.
            return FAILURE_KEPT;
        }
        let doubled = FAILURE_KEPT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_FAILURE_KEPT);
        self.failures = self.failures.saturating_add(1);
        // Replicas must not come back in step.
        doubled.mul_f64(1.0 + fastrand::f64() / 4.0)
    }
}

/// Whether Amazon will say the same again until someone changes something.
pub(crate) const fn is_refusal(error: &TokenError) -> bool {
    matches!(error, TokenError::Amazon(LwaError::InvalidGrant | LwaError::InvalidClient | LwaError::Refused(_)))
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
            assert!(is_refusal(&error.error));
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
        assert!(matches!(error.error, TokenError::Interrupted));
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
        assert_eq!(tokens.refuse(&connection(), &token), None, "once may be a hiccup");
        let error = tokens.token(&connection(), Provenance::of(1), refresh()).await.unwrap_err();
        assert!(matches!(error.error, TokenError::DeadOnArrival));
        assert!(error.retry_after() > Duration::from_secs(8));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(tokens.token(&connection(), Provenance::of(2), refresh()).await.is_ok());
    }

    fn moment(steady: Instant, wall_seconds: u64) -> Moment {
        Moment { steady, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(wall_seconds) }
    }

    #[test]
    fn a_token_ends_by_the_clock_that_says_less() {
        let start = Instant::now();
        let ends = moment(start, 1000).after(Duration::from_secs(3600));
        let left = |steady, wall| ends.left(moment(start + Duration::from_secs(steady), wall)).as_secs();
        assert_eq!(left(100, 1100), 3500);
        // The machine slept for an hour: the steady clock did not notice.
        assert_eq!(left(100, 4700), 0);
        assert_eq!(left(100, 4500), 100);
        // Somebody set the clock back.
        assert_eq!(left(3000, 1), 600);
        assert_eq!(left(4000, 1), 0);
        // What was handed out may live as long as the other clock says: set ahead, the wall clock would hide it.
        let at_most = |steady, wall| ends.left_at_most(moment(start + Duration::from_secs(steady), wall)).as_secs();
        assert_eq!(at_most(100, 4700), 3500);
        assert_eq!(at_most(3700, 4500), 100);
    }

    /// Makes what is kept about a failure end now, as if time had passed.
    fn time_passes(tokens: &Tokens) {
        let mut entries = tokens.entries();
        if let Some(Kept::Failure(failure)) = &mut entries.get_mut(&connection()).unwrap().kept {
            failure.until = Instant::now();
        }
    }

    #[tokio::test]
    async fn a_failing_amazon_is_left_alone_for_longer_each_time_and_callers_are_told_how_long() {
        let (tokens, count) = (Tokens::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |works: bool| {
            let count = count.clone();
            let refresh = move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                let trouble = LwaError::Retry(amazon::RetryCause::Server(500));
                if works { answer("t", 3600) } else { Err(TokenError::Amazon(trouble)) }
            };
            let tokens = tokens.clone();
            async move { tokens.token(&connection(), Provenance::of(1), refresh).await }
        };
        let mut asked = 0;
        for least in [1, 2, 4, 8, 16, 16] {
            let (first, again) = (ask(false).await.unwrap_err(), ask(false).await.unwrap_err());
            asked += 1;
            assert_eq!(count.load(Ordering::SeqCst), asked, "the second is told without asking");
            let least = Duration::from_secs(least);
            assert!(first.retry_after() > least.mul_f64(0.9) && first.retry_after() < least.mul_f64(1.3), "{first:?}");
            assert!(again.retry_after() <= first.retry_after() + Duration::from_millis(1));
            time_passes(&tokens);
        }
        let token = ask(true).await.unwrap();
        tokens.forget(&connection(), &token);
        let after = ask(false).await.unwrap_err();
        assert!(after.retry_after() < Duration::from_secs(2), "a success makes it begin anew");
    }

    #[tokio::test]
    async fn two_new_tokens_refused_in_a_row_are_a_verdict_until_one_is_taken() {
        let tokens = Tokens::default();
        let next = || async { tokens.token(&connection(), Provenance::of(1), || async { answer("t", 3600) }).await };
        let first = next().await.unwrap();
        assert_eq!(tokens.taken(&connection(), &first), None, "nothing was doubted");
        tokens.forget(&connection(), &first);
        let second = next().await.unwrap();
        assert_eq!(tokens.refuse(&connection(), &second), None);
        assert!(tokens.are_doubted(&connection()));
        time_passes(&tokens);
        let third = next().await.unwrap();
        assert_eq!(tokens.refuse(&connection(), &second), None, "an older token's death says nothing of a newer one");
        assert_eq!(tokens.refuse(&connection(), &third), Some(Provenance::of(1).credentials()));
        time_passes(&tokens);
        let fourth = next().await.unwrap();
        assert!(tokens.are_doubted(&connection()), "it was only given yet");
        assert_eq!(tokens.taken(&connection(), &fourth), Some(Provenance::of(1).credentials()));
        assert_eq!(tokens.taken(&connection(), &fourth), None);
        assert!(!tokens.are_doubted(&connection()));
    }
}
