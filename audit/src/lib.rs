//! The record of what OpenTeam does: typed events, written as OCSF 1.8.0, and the client that brings them to the
//! recorders.
//!
//! An event is built only from types in which a secret cannot hide ([`Name`], [`Digest`], [`Reason`], ids): there
//! is no place for a query value, a header, a body, a token or an e-mail address. What grants something calls
//! [`Recorder::record`] and acts only once it holds the [`Recorded`] that comes back; what refuses, contains or
//! revokes calls [`Recorder::record_later`] and never waits.
//!
//! This crate knows no Kubernetes client. Where an event is stored is the business of the crate `recorder`; what
//! both sides say to each other is in [`wire`].

mod client;
mod event;
pub mod log;
mod refusals;
mod role;
pub mod wire;

pub use client::{
    Delivery, Failure, Https, Metrics, NotRecorded, Posted, Recorded, Recorder, Settings, Transport, Undelivered,
};
pub use event::{
    Act, Activity, Actor, Call, Change, Checked, CheckpointNote, Class, Correlation, CredentialField, Detection,
    DetectionKind, DetectionStage, Digest, DigestKey, Entity, EntityChange, Event, EventName, Fault, Granted, Kind,
    Lifecycle, LogChange, LogOrigin, MarketplaceId, MemberRole, Membership, MembershipChange, Misshapen, Name, Network,
    NotALog, NotAMarketplace, NotAName, ObjectName, Operation, Origin, Person, Phase, Reason, RefusedCallers,
    Requester, Review, ReviewStage, ReviewedLog, Row, Run, Severity, SignIn, Source, Stamp, Step, Strangers, Suspect,
    Target, catalog, check,
};
pub use refusals::RefusalCounter;
pub use role::{NotAPeer, Peer, Role};
