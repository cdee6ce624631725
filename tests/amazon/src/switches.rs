//! Faults a test turns on and off while the emulator runs.

use crate::seed::{Secret, Seed};
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
    /// By client id: the only secret that is right from now on; `null` for the seed's.
    pub client_secrets: BTreeMap<String, Option<Secret>>,
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
    /// Client ids whose secret is not the seed's.
    pub replaced_secrets: BTreeSet<String>,
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
    /// How often each seller's grant was revoked; an access token knows the number it was issued under.
    revocations: BTreeMap<String, u64>,
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
        if let Some(unknown) = change.grants.keys().find(|id| !self.0.sellers.contains(*id)) {
            return Err(SwitchError::Seller(unknown.clone()));
        }
        if let Some(unknown) = change.client_secrets.keys().find(|id| !self.0.secrets.contains_key(*id)) {
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
        for (client, secret) in change.client_secrets {
            if let Some(secret) = secret {
                now.state.replaced_secrets.insert(client.clone());
                now.secrets.insert(client, secret);
            } else {
                now.state.replaced_secrets.remove(&client);
                now.secrets.remove(&client);
            }
        }
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

    /// Puts every switch back, the clock too. Access tokens of a grant once revoked stay dead.
    pub fn reset(&self) {
        let mut now = self.now();
        now.state = State::default();
        now.secrets.clear();
        self.0.clock.reset();
    }

    /// Whether this is the client's secret; false for an unknown client.
    pub(crate) fn is_secret(&self, client: &str, given: &str) -> bool {
        let now = self.now();
        let right = now.secrets.get(client).or_else(|| self.0.secrets.get(client));
        right.is_some_and(|right| right.expose() == given)
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
