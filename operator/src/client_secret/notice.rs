//! What a notice of Amazon's changes. A queue brings notices late, twice and in any order, and brings those of others; so
//! each is judged by what is stored, and done again it changes nothing.

use std::time::Duration;

use amazon::{NoticeError, SecretNews, SecretNotice};
use audit::{Change, Correlation, EntityChange};
use crds::{
    AmazonApplication, NamespacedReference, PreviousCredential, StoredCredential, StoredCredentialSpec, StoredRotation,
    StoredTold,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use seal::{Sealed, StoredBinding};
use secrecy::{ExposeSecret, SecretString};

use super::{
    ask,
    plan::{LIFE, Outcome, is_entitled},
    queue::Queue,
};
use crate::{
    amazon_connection::client_secret_name,
    controller::Context,
    credential,
    error::ReconcileError,
    status::{self, Event},
    stores::read,
    subject::{entity, reference},
};

/// How far Amazon's clock may be ahead of ours.
const CLOCK_LEAD: SignedDuration = SignedDuration::from_mins(5);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// The new secret is stored, or the end noted.
    Taken,
    /// It said nothing new.
    Known,
    /// What it tells of is over.
    Over,
    /// Something of ours failed: it is tried again soon.
    Failed,
    /// The application it is for has not shown yet that it is its own.
    NotEntitled,
    /// It is for nobody here: it stays for whoever shares the queue.
    Foreign,
    /// Amazon does not accept the secret in it.
    NotProven,
    /// It is no notice about a client secret.
    Unreadable,
}

impl Fate {
    pub(crate) const ALL: [Self; 8] = [
        Self::Taken,
        Self::Known,
        Self::Over,
        Self::Failed,
        Self::NotEntitled,
        Self::Foreign,
        Self::NotProven,
        Self::Unreadable,
    ];

    /// A fixed word, for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Known => "known",
            Self::Over => "over",
            Self::Failed => "failed",
            Self::NotEntitled => "not_entitled",
            Self::Foreign => "foreign",
            Self::NotProven => "not_proven",
            Self::Unreadable => "unreadable",
        }
    }

    /// How long the queue keeps the message from everybody before it is looked at again; `None`: it is deleted. Each time
    /// twice as long, so that none goes round and round. Nothing but the queue's own retention ends one that was not taken.
    pub(crate) fn hidden_for(self, received: u32) -> Option<Duration> {
        let (first, most) = match self {
            Self::Taken | Self::Known | Self::Over => return None,
            Self::Failed => (5, 300),
            Self::NotEntitled => (10, 900),
            // Somebody else may wait for it.
            Self::Foreign => (30, 900),
            // The longest that SQS hides a message for is 12 hours.
            Self::NotProven | Self::Unreadable => (60, 12 * 3600),
        };
        let doubled = 1u64.checked_shl(received.saturating_sub(1).min(20)).unwrap_or(u64::MAX).saturating_mul(first);
        Some(Duration::from_secs(doubled.min(most)))
    }
}

/// What a notice is to change of a stored secret.
#[derive(Debug, PartialEq)]
pub(super) enum Judgement {
    /// Nothing: it was taken before, or a newer one.
    Known,
    /// Nothing any more.
    Over,
    /// The end of the present secret is noted.
    Note(StoredTold),
    /// The secret in it becomes the newest, if it is another one and Amazon accepts it.
    Try,
}

/// Judges a notice by what is stored. Pure.
pub(super) fn judge(stored: &StoredCredentialSpec, notice: &SecretNotice, now: Timestamp) -> Judgement {
    let told = stored.told.clone().unwrap_or_default();
    let is_new = |since: Option<&MicroTime>| since.is_none_or(|since| since.0 < notice.published_at);
    match &notice.news {
        SecretNews::New { .. } if !is_new(told.notice_at.as_ref()) => Judgement::Known,
        SecretNews::New { expires_at, .. } if *expires_at <= now => Judgement::Over,
        SecretNews::New { .. } => Judgement::Try,
        // Of a secret that came later it says nothing.
        SecretNews::Expires(_) if !is_new(told.notice_at.as_ref()) || notice.published_at <= stored.sealed_at.0 => {
            Judgement::Over
        }
        SecretNews::Expires(_) if !is_new(told.warned_at.as_ref()) => Judgement::Known,
        SecretNews::Expires(at) => Judgement::Note(StoredTold {
            expires_at: Some(MicroTime(*at)),
            warned_at: Some(MicroTime(notice.published_at)),
            ..told
        }),
    }
}

/// The spec with the new secret as the newest, and beside it the one that works. Pure.
pub(super) fn with_new(
    stored: &StoredCredentialSpec,
    proven: Option<i64>,
    sealed: Sealed,
    notice: &SecretNotice,
    (expires_at, old_expires_at): (Timestamp, Timestamp),
    value: Option<String>,
    now: Timestamp,
) -> StoredCredentialSpec {
    let sealed_at = notice.published_at.min(now);
    // Sealed after the notice was published, it is not the one that Amazon calls old: perhaps it is the newest of all.
    let old_until = if stored.sealed_at.0 <= notice.published_at {
        old_expires_at
    } else {
        stored.sealed_at.0.saturating_add(LIFE).unwrap_or(Timestamp::MAX)
    };
    let newest = PreviousCredential {
        generation: stored.generation,
        sealed_at: stored.sealed_at.clone(),
        data: stored.data.clone(),
        wrap: stored.wrap.clone(),
        until: Some(MicroTime(old_until)),
    };
    // One that was pasted in between and never worked takes the place of none that does.
    let before = stored.previous.clone().filter(|before| Some(before.generation) == proven);
    let previous = Some(before.unwrap_or(newest)).filter(|it| it.until.as_ref().is_some_and(|until| until.0 > now));
    let acted_on = stored.rotation.clone().unwrap_or_default();
    let rotation = StoredRotation { value: value.or(acted_on.value.clone()), ..acted_on };
    StoredCredentialSpec {
        generation: stored.generation + 1,
        not_before: stored.not_before.clone().max(MicroTime(sealed_at)),
        sealed_at: MicroTime(sealed_at),
        data: sealed.data,
        wrap: sealed.wrap,
        retired: false,
        previous,
        rotation: (rotation != StoredRotation::default()).then_some(rotation),
        told: Some(StoredTold {
            notice_at: Some(MicroTime(notice.published_at)),
            expires_at: Some(MicroTime(expires_at)),
            warned_at: None,
        }),
        ..stored.clone()
    }
}

/// Takes what a message says.
pub(super) async fn take(context: &Context, queue: &Queue, body: &str) -> Fate {
    let notice = match SecretNotice::parse(body) {
        Ok(notice) => notice,
        // A queue may be shared with whoever waits for other notifications.
        Err(NoticeError::OtherKind) => return Fate::Foreign,
        Err(error) => {
            tracing::warn!(queue = queue.url, %error, "message of the queue is left there");
            return Fate::Unreadable;
        }
    };
    let now = Timestamp::now();
    if notice.published_at > now.saturating_add(CLOCK_LEAD).unwrap_or(now) {
        tracing::warn!(queue = queue.url, "notice from the future is left in the queue: correct the clock");
        return Fate::Unreadable;
    }
    let applications = queue.applications(context, &notice.client_id);
    let mut worst = if applications.is_empty() { Fate::Foreign } else { Fate::Taken };
    for name in applications {
        let fate = match take_for(context, &name, &notice).await {
            Ok(fate) => fate,
            Err(error) => {
                let cause = process::certificate::chain(&error);
                tracing::warn!(application = %name, error = cause, "notice about the client secret is tried again");
                Fate::Failed
            }
        };
        worst = worst.max(fate);
    }
    worst
}

/// Takes what a notice says about one application.
async fn take_for(
    context: &Context,
    name: &NamespacedReference,
    notice: &SecretNotice,
) -> Result<Fate, ReconcileError> {
    let application = context.stores.application(name);
    let stored = context.stores.stored(&name.namespace, &client_secret_name(&name.name));
    let (Some(application), Some(stored)) = (read(application.as_ref()), read(stored.as_ref())) else {
        return Ok(Fate::NotEntitled);
    };
    if !stored.goes_with(&application.metadata) || !is_entitled(application, stored) {
        return Ok(Fate::NotEntitled);
    }
    match judge(&stored.spec, notice, Timestamp::now()) {
        Judgement::Known => Ok(Fate::Known),
        Judgement::Over => Ok(Fate::Over),
        Judgement::Note(told) => {
            credential::replace(context, stored, StoredCredentialSpec { told: Some(told), ..stored.spec.clone() })
                .await?;
            Ok(Fate::Taken)
        }
        Judgement::Try => try_new(context, application, stored, notice).await,
    }
}

async fn try_new(
    context: &Context,
    application: &AmazonApplication,
    stored: &StoredCredential,
    notice: &SecretNotice,
) -> Result<Fate, ReconcileError> {
    let SecretNews::New { secret, expires_at, old_expires_at } = &notice.news else { return Ok(Fate::Known) };
    let correlation = Correlation::random();
    if is_stored(context, stored, secret, correlation).await? {
        let told = StoredTold {
            notice_at: Some(MicroTime(notice.published_at)),
            expires_at: Some(MicroTime(*expires_at)),
            warned_at: None,
        };
        credential::replace(context, stored, StoredCredentialSpec { told: Some(told), ..stored.spec.clone() }).await?;
        return Ok(Fate::Taken);
    }
    let name = reference(&application.metadata);
    match ask::grantless(context, application, secret, correlation).await? {
        Ok(_) => {}
        Err(Outcome::Rejected | Outcome::NotAllowed) => {
            tracing::warn!(application = %name, "amazon refuses the new client secret of a notice, which stays in the queue");
            return Ok(Fate::NotProven);
        }
        Err(_) => return Ok(Fate::Failed),
    }
    let status = application.status.as_ref().and_then(|status| status.secret_rotation.as_ref());
    let proven = status.and_then(|status| status.proven.as_ref()).map(|proven| proven.generation);
    let value = status.and_then(|status| status.value.clone());
    let of = &stored.spec.r#for;
    let generation = stored.spec.generation + 1;
    let sealed = context.keyset.seal(
        &StoredBinding {
            namespace: &name.namespace,
            kind: of.kind.as_str(),
            name: &of.name,
            field: stored.spec.field.as_str(),
            generation: generation.unsigned_abs(),
        },
        secret.expose_secret().as_bytes(),
    )?;
    let spec = with_new(&stored.spec, proven, sealed, notice, (*expires_at, *old_expires_at), value, Timestamp::now());
    let change = Change::CredentialSealed(credential::field(spec.field), generation.unsigned_abs());
    let entity = entity(audit::Kind::StoredCredential, &stored.metadata)?;
    let event = EntityChange { correlation: Some(correlation), target: None, entity, change };
    let _recorded = context.recorder.record(event).await?;
    let until = spec.previous.as_ref().and_then(|previous| previous.until.clone());
    credential::replace(context, stored, spec).await?;
    tracing::info!(application = %name, generation, "new client secret stored");
    let until = until.map_or_else(String::new, |until| format!("; the one before is kept until {}", until.0));
    let note = Some(format!("client secret {generation} came from Amazon and is good until {expires_at}{until}"));
    let event = Event { warns: false, reason: "ClientSecretRotated".to_owned(), note, action: "Rotate".to_owned() };
    status::publish(context, application, event).await;
    Ok(Fate::Taken)
}

/// Whether this is the newest secret already: somebody may have pasted it.
async fn is_stored(
    context: &Context,
    stored: &StoredCredential,
    secret: &SecretString,
    correlation: Correlation,
) -> Result<bool, ReconcileError> {
    let Some(newest) = stored.newest() else { return Ok(false) };
    let opened = ask::open(context, &newest, correlation).await?;
    Ok(opened.is_some_and(|opened| opened.expose_secret() == secret.expose_secret()))
}
