//! The recorder: keeps what all roles record, on a disk of its own, before it takes effect.
//!
//! [`router`] takes events from clients that the role certificate names, [`Journal`] stores them and acknowledges
//! past `fdatasync`, [`read`] and [`query`] print what is stored, [`verify`], [`export`] and [`receipt`] are for who
//! trusts nobody; the portal is shown a namespace's part of it, as `audit::wire::reading`
//! describes it. The events themselves are the business of the crate `audit`. Beside the journal [`Shelf`] keeps the evidence of incidents, whose form is the business of the crate `evidence`.

mod activity;
mod background;
mod backwards;
mod detect;
mod digest;
pub mod export;
mod extract;
pub mod fetch;
mod frame;
mod journal;
mod last_use;
mod log;
mod metrics;
mod place;
pub mod query;
pub mod read;
pub mod receipt;
mod records;
mod room;
mod router;
mod run;
mod shelf;
pub mod verify;
mod view;

pub use extract::record_digest;
pub use journal::{AppendError, Appended, Journal, OpenError, Recovery};
pub use log::{Care, Keeper, Live, Logs, NotAShard, Outside, Reading, Shard};
pub use place::Place;
pub use router::{readers::router as readers, router};
pub use run::{Arguments, RunError, run};
pub use shelf::{KeepError, Kept, Shelf};
