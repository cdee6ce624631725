//! Faults a test turns on and off while the emulator runs.

use crate::{
    consent::Registration,
    rotation::{Queue, Rotation},
    seed::{Secret, Seed, Seller},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How one of the two services misbehaves. Calls are recorded all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Answers every call with this status: 500 to 599, for SP-API also 429.
    Status(u16),
    /// Takes the call and never answers; what hangs goes on hanging after the switch is back.
    Hang,
    /// Answers rightly, but late.
    Slow {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// Answers 200 at once, with what nobody can read as an answer.
    Nonsense,
    /// Sends the caller elsewhere (307), to a place of somebody else's.
    Redirect,
    /// Answers at once, but sends the body piece by piece.
    Trickle {
        /// Bytes in a piece, at least 1.
        bytes: usize,
        /// Milliseconds between pieces.
        every_ms: u64,
    },
}

/// What is left of a seller's authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Grant {
    /// LWA answers invalid_grant; access tokens handed out before are dead at once.
    Revoked,
    /// The refresh token works again. Access tokens that died stay dead.
    Working,
}

/// What to change; what is not named stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Change {
    /// How Login with Amazon misbehaves.
    pub lwa: Option<Fault>,
    /// How the Selling Partner API misbehaves.
    pub selling_partner: Option<Fault>,
    /// By seller id.
    pub grants: BTreeMap<String, Grant>,
    /// By seller id: so many of its next calls exceed its quota.
    pub throttled: BTreeMap<String, u32>,
    /// By client id: the only secret that is right from now on; `null` for the seed's.
    pub client_secrets: BTreeMap<String, Option<Secret>>,
    /// Refresh tokens that their seller ended; access tokens made with them are dead at once. Others of the same seller go on
    /// working.
    pub ended: Vec<Secret>,
    /// By client id: the queue that is registered for notices of new client secrets; `null` for none.
    pub queues: BTreeMap<String, Option<Queue>>,
    /// By client id: how rotation behaves.
    pub rotations: BTreeMap<String, Rotation>,
    /// By client id: what is registered of the application for its sellers' consent; `null` for nothing.
    pub registrations: BTreeMap<String, Option<Registration>>,
    /// Moves the emulator's clock ahead, so that access tokens expire (3600 s).
    pub advance_seconds: u32,
}

/// How the switches stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// How Login with Amazon misbehaves.
    pub lwa: Fault,
    /// How the Selling Partner API misbehaves.
    pub selling_partner: Fault,
    /// Seller ids.
    pub revoked: BTreeSet<String>,
    /// By seller id: how many calls are still to exceed the quota.
    pub throttled: BTreeMap<String, u32>,
    /// Client ids whose secret is not the seed's.
    pub replaced_secrets: BTreeSet<String>,
    /// Client ids with a queue.
    pub enrolled: BTreeSet<String>,
    /// By client id: how rotation behaves, where it is not as usual.
    pub rotations: BTreeMap<String, Rotation>,
    /// By client id: what is registered for consent.
    pub registrations: BTreeMap<String, Registration>,
}

/// Why a change was refused; nothing of it took effect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// No such seller in the seed.
    #[error("seller {0} is unknown")]
    Seller(String),
    /// No such application in the seed.
    #[error("client {0} is unknown")]
    Client(String),
    /// Not a status this service fails with.
    #[error("status {status} is not one {service} fails with")]
    Status {
        /// `lwa` or `sellingPartner`.
        service: &'static str,
        /// The status.
        status: u16,
    },
    /// Pieces of no bytes would never end.
    #[error("trickle of {0} sends no bytes")]
    Trickle(&'static str),
}

/// The switches of one emulator; clones are the same switches.
#[derive(Clone, Debug)]
pub struct Switches(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sellers: BTreeSet<String>,
    secrets: BTreeMap<String, Secret>,
    clock: Arc<crate::Clock>,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    state: State,
    secrets: BTreeMap<String, Secret>,
    /// Refresh tokens of sellers that consented again, beside those of the seed, which go on working.
    consents: BTreeMap<String, Vec<Secret>>,
    ended: BTreeSet<Secret>,
    /// How often access tokens were made with each refresh token.
    uses: BTreeMap<Secret, usize>,
    /// By client id: the secrets that rotation made, oldest first, each with the end of the one before it. They outlive a
    /// reset, as they would at Amazon.
    rotated: BTreeMap<String, Vec<Rotated>>,
    queues: BTreeMap<String, Queue>,
    /// How often each seller's grant was revoked; an access token knows the number it was issued under.
    revocations: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Rotated {
    secret: Secret,
    old_until: Timestamp,
    /// The notice that tells of it.
    notice: String,
}

impl Switches {
    pub(crate) fn new(seed: &Seed, clock: Arc<crate::Clock>) -> Self {
        let secret = |one: &crate::Application| (one.client_id.clone(), one.client_secret.clone());
        Self(Arc::new(Inner {
            sellers: seed.sellers.iter().map(|seller| seller.seller_id.clone()).collect(),
            secrets: seed.applications.iter().map(secret).collect(),
            clock,
            now: Mutex::default(),
        }))
    }

    /// How they stand.
    #[must_use]
    pub fn state(&self) -> State {
        self.now().state.clone()
    }

    /// Makes all of a change, and says how the switches stand then.
    ///
    /// # Errors
    /// When any part of it cannot be made; then none is.
    pub fn apply(&self, change: Change) -> Result<State, SwitchError> {
        let mut sellers = change.grants.keys().chain(change.throttled.keys());
        if let Some(unknown) = sellers.find(|id| !self.0.sellers.contains(*id)) {
            return Err(SwitchError::Seller(unknown.clone()));
        }
        let clients = change.client_secrets.keys().chain(change.queues.keys()).chain(change.rotations.keys());
        let mut clients = clients.chain(change.registrations.keys());
        if let Some(unknown) = clients.find(|id| !self.0.secrets.contains_key(*id)) {
            return Err(SwitchError::Client(unknown.clone()));
        }
        check("lwa", change.lwa, |status| (500..600).contains(&status))?;
        check("sellingPartner", change.selling_partner, |status| status == 429 || (500..600).contains(&status))?;

        let mut now = self.now();
        if let Some(fault) = change.lwa {
            now.state.lwa = fault;
        }
        if let Some(fault) = change.selling_partner {
            now.state.selling_partner = fault;
        }
        for (seller, grant) in change.grants {
            match grant {
                Grant::Revoked => {
                    *now.revocations.entry(seller.clone()).or_default() += 1;
                    now.state.revoked.insert(seller);
                }
                Grant::Working => {
                    now.state.revoked.remove(&seller);
                }
            }
        }
        now.ended.extend(change.ended);
        now.state.throttled.extend(change.throttled);
        now.state.throttled.retain(|_, calls| *calls > 0);
        for (client, secret) in change.client_secrets {
            if let Some(secret) = secret {
                now.state.replaced_secrets.insert(client.clone());
                now.secrets.insert(client, secret);
            } else {
                now.state.replaced_secrets.remove(&client);
                now.secrets.remove(&client);
            }
        }
        for (client, queue) in change.queues {
            match queue {
                Some(queue) => drop(now.queues.insert(client, queue)),
                None => drop(now.queues.remove(&client)),
            }
        }
        for (client, registration) in change.registrations {
            match registration {
                Some(registration) => drop(now.state.registrations.insert(client, registration)),
                None => drop(now.state.registrations.remove(&client)),
            }
        }
        now.state.enrolled = now.queues.keys().cloned().collect();
        now.state.rotations.extend(change.rotations);
        now.state.rotations.retain(|_, rotation| *rotation != Rotation::default());
        self.0.clock.advance(jiff::SignedDuration::from_secs(change.advance_seconds.into()));
        Ok(now.state.clone())
    }

    /// Revokes a seller's grant.
    ///
    /// # Errors
    /// When the seller is unknown.
    pub fn revoke(&self, seller: &str) -> Result<State, SwitchError> {
        self.apply(Change { grants: [(seller.to_owned(), Grant::Revoked)].into(), ..Change::default() })
    }

    /// The seller consents again: a further refresh token. Those before go on working, as with Amazon.
    ///
    /// # Errors
    /// When the seller is unknown.
    ///
    /// # Panics
    /// Without randomness.
    #[expect(clippy::expect_used, reason = "a program of tests")]
    pub fn consent(&self, seller: &str) -> Result<Secret, SwitchError> {
        if !self.0.sellers.contains(seller) {
            return Err(SwitchError::Seller(seller.to_owned()));
        }
        let token = crate::seed::token("Atzr").expect("the operating system gives random bytes");
        self.now().consents.entry(seller.to_owned()).or_default().push(token.clone());
        Ok(token)
    }

    /// Every further refresh token that there is, to be looked for where none may be.
    #[must_use]
    pub fn consented(&self) -> Vec<Secret> {
        self.now().consents.values().flatten().cloned().collect()
    }

    /// The seller consents by the consent page: a further refresh token. After a revocation the grant works again, and none
    /// of the refresh tokens before does.
    pub(crate) fn authorize(&self, seller: &Seller) -> Secret {
        let mut now = self.now();
        if now.state.revoked.remove(&seller.seller_id) {
            let before = now.consents.get(&seller.seller_id).cloned().unwrap_or_default();
            now.ended.extend(before.into_iter().chain([seller.refresh_token.clone()]));
        }
        drop(now);
        self.consent(&seller.seller_id).unwrap_or_else(|_| seller.refresh_token.clone())
    }

    /// What is registered of an application.
    pub(crate) fn registration(&self, client: &str) -> Registration {
        self.now().state.registrations.get(client).cloned().unwrap_or_default()
    }

    /// Whether a seller consented again with this refresh token.
    pub(crate) fn is_consent(&self, seller: &str, refresh_token: &str) -> bool {
        let now = self.now();
        now.consents.get(seller).is_some_and(|them| them.iter().any(|one| one.expose() == refresh_token))
    }

    /// How often an access token was made with this refresh token.
    #[must_use]
    pub fn uses(&self, refresh_token: &str) -> usize {
        self.now().uses.get(&Secret::new(refresh_token)).copied().unwrap_or_default()
    }

    pub(crate) fn used(&self, refresh_token: &Secret) {
        *self.now().uses.entry(refresh_token.clone()).or_default() += 1;
    }

    /// Whether the seller ended this refresh token.
    pub(crate) fn is_ended(&self, refresh_token: &Secret) -> bool {
        self.now().ended.contains(refresh_token)
    }

    /// Puts every switch back, the clock too. Access tokens of a grant once revoked stay dead.
    pub fn reset(&self) {
        let mut now = self.now();
        now.state = State::default();
        now.secrets.clear();
        now.consents.clear();
        now.ended.clear();
        now.queues.clear();
        self.0.clock.reset();
    }

    /// Whether this is a secret of the client's that works; false for an unknown client.
    pub(crate) fn is_secret(&self, client: &str, given: &str) -> bool {
        let now = self.now();
        if let Some(only) = now.secrets.get(client) {
            return only.expose() == given;
        }
        let rotated = now.rotated.get(client).map(Vec::as_slice).unwrap_or_default();
        let secrets = self.0.secrets.get(client).into_iter().chain(rotated.iter().map(|one| &one.secret));
        // Each works until the rotation that replaced it says; the last one was not replaced.
        let ends = rotated.iter().map(|one| Some(one.old_until)).chain([None]);
        let time = self.0.clock.now();
        secrets.zip(ends).any(|(secret, end)| secret.expose() == given && end.is_none_or(|end| time < end))
    }

    /// The queue registered for a client.
    pub(crate) fn queue(&self, client: &str) -> Option<Queue> {
        self.now().queues.get(client).cloned()
    }

    pub(crate) fn rotation(&self, client: &str) -> Rotation {
        self.now().state.rotations.get(client).cloned().unwrap_or_default()
    }

    /// A client has a new secret.
    pub(crate) fn rotated(&self, client: &str, secret: Secret, old_until: Timestamp, notice: String) {
        let rotated = Rotated { secret, old_until, notice };
        self.now().rotated.entry(client.to_owned()).or_default().push(rotated);
    }

    /// The notices of a client's new secrets so far, oldest first.
    pub(crate) fn notices(&self, client: &str) -> Vec<String> {
        let now = self.now();
        now.rotated.get(client).into_iter().flatten().map(|one| one.notice.clone()).collect()
    }

    /// Every secret that rotation made.
    pub(crate) fn rotated_secrets(&self) -> Vec<Secret> {
        self.now().rotated.values().flatten().map(|one| one.secret.clone()).collect()
    }

    /// Whether a call of this seller's exceeds its quota; it counts as one.
    pub(crate) fn throttles(&self, seller: &str) -> bool {
        let mut now = self.now();
        let Some(left) = now.state.throttled.get_mut(seller) else { return false };
        *left -= 1;
        if *left == 0 {
            now.state.throttled.remove(seller);
        }
        true
    }

    /// The number an access token of this seller is issued under; `None` while the grant is revoked.
    pub(crate) fn grant(&self, seller: &str) -> Option<u64> {
        let now = self.now();
        if now.state.revoked.contains(seller) {
            return None;
        }
        Some(now.revocations.get(seller).copied().unwrap_or_default())
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(service: &'static str, fault: Option<Fault>, fails_with: fn(u16) -> bool) -> Result<(), SwitchError> {
    match fault {
        Some(Fault::Status(status)) if !fails_with(status) => Err(SwitchError::Status { service, status }),
        Some(Fault::Trickle { bytes: 0, .. }) => Err(SwitchError::Trickle(service)),
        _ => Ok(()),
    }
}
