//! Every event there is: its class, activities, severity and message, who writes it, and why. What an event says of itself it
//! takes from its row here; a recorder takes from a role what its rows allow; `docs/audit.md` shows the rows.

use super::{Class, ocsf::Severity};
use crate::Role;

/// What all events of one kind have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which event.
    pub name: EventName,
    /// Its OCSF class.
    pub class: Class,
    /// The values its `activity_id` may have; mostly one.
    pub activities: &'static [u64],
    /// `severity_id`.
    pub severity: Severity,
    /// `message`. No other event has the same.
    pub message: &'static str,
    /// The roles that write it.
    pub writers: &'static [Role],
    /// What it may have in `unmapped`, besides `run`, `team` and `connection`, which any event may have.
    pub unmapped: &'static [&'static str],
    /// When it is written.
    pub cause: &'static str,
}

impl Row {
    /// The values its `type_uid` may have: `class_uid * 100 + activity_id`.
    pub fn type_uids(&self) -> impl Iterator<Item = u64> + use<> {
        let class = self.class.uid();
        self.activities.iter().map(move |activity| class * 100 + activity)
    }
}

/// Every row, by class and in the order in which things happen.
pub fn catalog() -> impl Iterator<Item = &'static Row> {
    EventName::ALL.iter().map(|name| name.row())
}

macro_rules! catalog {
    ($($name:ident: $class:ident $activities:tt $severity:ident $message:literal by $writers:tt
       with $unmapped:tt when $cause:literal;)*) => {
        /// An event by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventName {
            $(#[doc = $cause] $name,)*
        }

        impl EventName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What all events of this name have in common.
            #[must_use]
            pub const fn row(self) -> &'static Row {
                #[allow(unused_imports, reason = "not every row names a role by itself")]
                use Role::{Gateway, Operator, Portal, Recorder, Webhook};
                match self {
                    $(Self::$name => const { &Row {
                        name: Self::$name,
                        class: Class::$class,
                        activities: &$activities,
                        severity: Severity::$severity,
                        message: $message,
                        writers: &$writers,
                        unmapped: &$unmapped,
                        cause: $cause,
                    } },)*
                }
            }

            /// The name as it stands in the code and in `docs/audit.md`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

// activity_id, 2003 and 2004: 1 create, 2 update, 3 close. 3001: 9 lock. 3002: 1 logon, 2 logoff, 6 preauth. 3004: 1 create,
// 2 read, 3 update, 4 delete, 8 enable, 9 disable, 10 activate, 11 deactivate. 3005: 1 assign, 2 revoke. 6002: 2 remove,
// 3 start, 4 stop. 6003: 1 create, 2 read, 3 update, 4 delete, 99 other. 6008: 1 general error.
catalog! {
    ReviewMade: ComplianceFinding [1] Informational "review of the record made" by [Operator] with ["checkpoints"]
        when "The digest of a fortnight's record was made, for a person to review.";
    ReviewSignedOff: ComplianceFinding [3] Informational "review of the record signed off" by [Operator, Portal]
        with ["checkpoints", "signed_off_by"]
        when "A person said by name that they reviewed that digest.";

    BurstOfRefusals: DetectionFinding [1, 2, 3] Medium "burst of refusals" by [Operator, Recorder] with ["writer"]
        when "Far more calls were refused than usual.";
    NewSubject: DetectionFinding [1, 2, 3] Low "new subject" by [Operator, Recorder] with ["writer"]
        when "Somebody who never used a connection before used it.";
    NewNetwork: DetectionFinding [1, 2, 3] Low "new network" by [Operator, Recorder] with ["writer"]
        when "A known caller came from a network that it never came from before.";
    TokenUsedAfterContainment: DetectionFinding [1, 2, 3] High "token used after containment" by [Operator, Recorder]
        with ["writer"]
        when "A call was granted although what it used had been contained for longer than gateways take to see it.";
    RefreshFailures: DetectionFinding [1, 2, 3] Medium "refreshes fail" by [Operator, Recorder] with ["writer"]
        when "Login with Amazon refused a connection's credential again and again.";
    UnusualVolume: DetectionFinding [1, 2, 3] Medium "unusual volume" by [Operator, Recorder] with ["writer"]
        when "A connection was called far more than in any hour of the week before.";
    RecorderSilent: DetectionFinding [1, 2, 3] High "recorder silent" by [Operator, Recorder] with ["writer"]
        when "A recorder's logs could not be witnessed for ten minutes.";
    WriterGap: DetectionFinding [1, 2, 3] High "gap in a writer's sequence" by [Operator, Recorder] with ["writer"]
        when "Numbers of a writer's `metadata.sequence` are in no log.";
    SignInAttack: DetectionFinding [1, 2, 3] Medium "attack on sign-in" by [Operator, Recorder] with ["writer"]
        when "Codes were guessed or asked for in numbers that no person needs.";
    LogContradicted: DetectionFinding [1, 2, 3] High "log contradicts what was seen of it" by [Operator, Recorder]
        with ["writer"]
        when "A log has not the checkpoint that a witness or reader of it remembers.";

    Locked: AccountChange [9] Medium "sign-in locked" by [Portal] with ["expires_at"]
        when "Too many wrong codes: no code of this address is taken until `unmapped.expires_at`.";

    CodeAsked: Authentication [6] Informational "sign-in code asked for" by [Portal] with []
        when "A member asked for a code, and it goes out by mail.";
    CodeRefused: Authentication [6] Low "sign-in code refused" by [Portal] with []
        when "A member asked for a code, and none goes out.";
    LoggedOn: Authentication [1] Informational "signed in" by [Portal] with []
        when "The code was right; waited for before there is a session.";
    LogonFailed: Authentication [1] Low "sign-in failed" by [Portal] with []
        when "The code was wrong, too old or of another browser.";
    LoggedOff: Authentication [2] Informational "signed out" by [Portal] with []
        when "A session was ended by its person, or by the portal.";
    StrangersRefused: Authentication [6] Low "strangers refused" by [Portal] with []
        when "Addresses of no member asked for codes: one event a network, reason and 10 s.";

    CredentialSealed: EntityManagement [1] Informational "credential sealed" by [Operator] with ["field"]
        when "A credential is about to be stored, encrypted.";
    CredentialOpened: EntityManagement [2] Informational "credential opened" by [Operator] with ["field"]
        when "The operator is about to decrypt a credential to use it.";
    CredentialUnopenable: EntityManagement [2] High "credential does not open" by [Operator] with ["field"]
        when "A stored credential is damaged, or another's.";
    CredentialResealed: EntityManagement [3] Informational "credential sealed anew" by [Operator] with ["field"]
        when "A rotation encrypts what it retires under a new key.";
    CredentialDestroyed: EntityManagement [4] Informational "credential destroyed" by [Operator] with ["field"]
        when "A credential that Amazon refuses, or that may no longer be used, is about to be deleted.";
    Rotated: EntityManagement [3] Medium "rotated" by [Operator] with []
        when "`openteam.dev/rotate` has a new value: the credential is out of use, RuntimeTokens are dead.";
    OldTokenAccepted: EntityManagement [2] Medium "rotated credential still accepted by amazon" by [Operator] with []
        when "Amazon was asked whether the old credential is dead, and it is not.";
    OldTokenRefused: EntityManagement [2] Informational "rotated credential refused by amazon" by [Operator] with []
        when "Amazon was asked whether the old credential is dead, and it is.";
    ConsentMailed: EntityManagement [2] Informational "consent asked for by mail" by [Operator] with []
        when "Contacts were mailed that the seller must consent.";
    SecretRotationRequested: EntityManagement [3] Informational "new client secret requested" by [Operator] with []
        when "Amazon is about to be asked for a new client secret.";
    InputAccepted: EntityManagement [3] Informational "sealed credential accepted" by [Operator] with ["field"]
        when "A SealedCredential is about to be taken over.";
    InputSuperseded: EntityManagement [3] Informational "sealed credential superseded" by [Operator] with ["field"]
        when "A SealedCredential is older than what is in use.";
    InputRefused: EntityManagement [3] Low "sealed credential refused" by [Operator] with ["field"]
        when "A SealedCredential cannot be used.";
    InputDeleted: EntityManagement [4] Informational "sealed credential deleted" by [Operator] with ["field"]
        when "A SealedCredential of the portal's is of no use any more and goes.";
    Authorized: EntityManagement [10] Informational "connection authorized" by [Operator] with []
        when "Amazon accepts the connection's credential.";
    Unauthorized: EntityManagement [11] Medium "connection unauthorized" by [Operator] with []
        when "Amazon no longer accepts it, or never did.";
    Contained: EntityManagement [9] Medium "contained" by [Operator] with ["incidents"]
        when "The operator saw `openteam.dev/disable` on the object or above it. Gateways do not wait for that.";
    Restored: EntityManagement [8] Medium "restored" by [Operator] with []
        when "The operator saw that nothing contains the object any more.";
    Notified: EntityManagement [3] Informational "notified by mail" by [Operator] with ["notification"]
        when "The mail server took a mail about it.";
    NotNotified: EntityManagement [3] Medium "not notified by mail" by [Operator] with ["notification"]
        when "A mail about it was given up.";
    ContainedBy: EntityManagement [9] Medium "contained by" by [Webhook, Portal] with ["incidents"]
        when "Who set `openteam.dev/disable`, seen to have happened.";
    RestoringBy: EntityManagement [8] Medium "about to be restored by" by [Webhook] with ["incidents"]
        when "Who is about to take incidents out of it; waited for.";
    DeletedBy: EntityManagement [4] Low "deleted by" by [Webhook, Portal] with []
        when "Who deleted the object: in the portal before, else seen to have happened.";
    RotationAskedBy: EntityManagement [3] Medium "rotation asked for by" by [Webhook] with []
        when "Who gave `openteam.dev/rotate` a new value.";
    RenewalAskedBy: EntityManagement [3] Informational "renewal asked for by" by [Webhook, Portal] with []
        when "Who gave `openteam.dev/renew` a new value.";
    TestAskedBy: EntityManagement [3] Informational "test asked for by" by [Webhook, Portal] with []
        when "Who gave `openteam.dev/test` a new value.";
    CreatedBy: EntityManagement [1] Informational "created by" by [Portal] with []
        when "Who is about to create the object in the portal.";
    RenamedBy: EntityManagement [3] Informational "renamed by" by [Portal] with []
        when "Who is about to give it another display name.";
    ConsentBegunBy: EntityManagement [3] Informational "consent begun by" by [Portal] with []
        when "Who is about to go to Amazon for the seller's consent.";
    ConsentReturnedBy: EntityManagement [3] Informational "consent returned by" by [Portal] with []
        when "Who came back from Amazon with a code.";
    ConsentNotReturnedBy: EntityManagement [3] Low "consent not returned by" by [Portal] with []
        when "Who came back from Amazon without a code that can be used.";
    InputGivenBy: EntityManagement [1] Informational "sealed credential given by" by [Portal] with ["field"]
        when "Who gave a secret, which is about to be kept sealed.";
    IssuedBy: EntityManagement [1] Informational "issued by" by [Portal] with ["expires_at", "scope"]
        when "Who is about to be shown a new RuntimeToken.";
    RecordReadBy: EntityManagement [2] Informational "record read by" by [Portal, Recorder] with []
        when "Who is about to read what is recorded.";
    CertificateIssued: EntityManagement [1] Informational "role certificate issued" by [Operator]
        with ["expires_at", "issued_to"]
        when "A role certificate was signed.";
    CertificateRefused: EntityManagement [1] Medium "role certificate refused" by [Operator] with []
        when "A request for a role certificate was denied.";
    EvidenceSigned: EntityManagement [1] Informational "evidence signed" by [Operator] with ["digest"]
        when "A bundle of evidence is about to be kept.";
    EvidenceCopied: EntityManagement [2] Informational "evidence copied" by [Operator] with ["digest"]
        when "A bundle of evidence was copied to `evidenceUrl`.";

    MemberAssigned: UserAccess [1] Informational "member assigned" by [Operator] with []
        when "The operator saw somebody new in `spec.members` of a Team.";
    MemberRoleChanged: UserAccess [1] Informational "member's role changed" by [Operator] with ["former_role"]
        when "The operator saw that a member has another role.";
    MemberRevoked: UserAccess [2] Informational "member revoked" by [Operator] with []
        when "The operator saw that somebody is no longer in `spec.members`.";
    MembershipAcceptedBy: UserAccess [1] Informational "membership accepted by" by [Portal] with []
        when "Who is about to accept a membership in the portal.";

    Started: ApplicationLifecycle [3] Informational "started" by [Operator, Webhook, Portal, Gateway, Recorder] with []
        when "A process is about to serve.";
    Stopped: ApplicationLifecycle [4] Informational "stopped" by [Operator, Webhook, Portal, Gateway, Recorder] with []
        when "A process was told to end and has drained.";
    LogOpened: ApplicationLifecycle [3] Informational "log opened" by [Recorder] with ["log", "previous_checkpoint"]
        when "A recorder began a log; the first event of that log, which ties it to the one before.";
    LogClosed: ApplicationLifecycle [4] Informational "log closed" by [Recorder] with ["log"]
        when "A recorder ended a log; the last event of that log.";
    LogDeleted: ApplicationLifecycle [2] Medium "log deleted" by [Recorder] with ["from", "log", "to"]
        when "A whole log is older than the retention, and is about to be deleted.";

    CallIntended: ApiActivity [1, 2, 3, 4, 99] Informational "call intended" by [Operator, Gateway] with ["expires_at"]
        when "A call was allowed and is about to be made; waited for.";
    CallAnswered: ApiActivity [1, 2, 3, 4, 99] Informational "call answered" by [Operator, Gateway] with ["expires_at"]
        when "It was answered with a status below 400; what the gateway answers by itself has no intent.";
    CallAnsweredWithError: ApiActivity [1, 2, 3, 4, 99] Informational "call answered with an error" by [Operator, Gateway]
        with ["expires_at"]
        when "It was answered with a status of 400 or more.";
    CallFailed: ApiActivity [1, 2, 3, 4, 99] Low "call failed" by [Operator, Gateway] with ["expires_at"]
        when "It was allowed and has no answer.";
    CallRefused: ApiActivity [1, 2, 3, 4, 99] Low "call refused" by [Operator, Gateway] with ["expires_at"]
        when "A known caller's call was refused; nothing happened.";
    UnknownCallersRefused: ApiActivity [99] Low "unknown callers refused" by [Gateway] with []
        when "Callers whom nobody knows, or who do not stop, were refused: one event a network, reason and 10 s.";

    Unexpected: ApplicationError [1] Medium "unexpected error" by [Operator, Webhook, Portal, Gateway, Recorder] with []
        when "A bug, or a part of the system that broke a promise.";
    EventsLost: ApplicationError [1] High "events lost before they were recorded" by [Operator, Webhook, Portal, Gateway]
        with []
        when "A process had too many events to deliver and dropped the oldest.";
    JournalCut: ApplicationError [1] Medium "incomplete end of the journal cut off" by [Recorder] with ["bytes"]
        when "A crash left half a write; nothing acknowledged was in it.";
    JournalDamaged: ApplicationError [1] High "unreadable bytes inside the journal" by [Recorder] with ["bytes"]
        when "The disk gave back other bytes than it was given.";
    LogRolledBack: ApplicationError [1] High "log rolled back" by [Recorder] with ["found", "log", "remembered"]
        when "A recorder's disk has a smaller log than was signed or witnessed: an old copy came back.";
    LogRewritten: ApplicationError [1] High "log rewritten" by [Recorder] with ["log", "size"]
        when "A recorder's disk has another log of that size than was signed or witnessed.";
    DiskReserved: ApplicationError [1] High "disk nearly full" by [Recorder] with ["bytes"]
        when "What is left of the disk is kept for events that must not wait; the others are refused.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_events_say_the_same() {
        let messages: BTreeSet<&str> = catalog().map(|row| row.message).collect();
        assert_eq!(messages.len(), EventName::ALL.len());
    }

    #[test]
    fn every_row_says_something_and_is_written_by_somebody() {
        for row in catalog() {
            let name = row.name.as_str();
            assert!(!row.writers.is_empty() && !row.activities.is_empty(), "{name}");
            assert!(row.activities.iter().all(|activity| (1..=99).contains(activity)), "{name}");
            assert!(row.cause.ends_with('.') && !row.cause.contains('|'), "{name}: {}", row.cause);
            assert!(row.unmapped.is_sorted(), "{name}");
            assert!(row.type_uids().all(|uid| uid / 100 == row.class.uid()), "{name}");
        }
    }
}
