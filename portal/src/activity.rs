//! What happened in a Team, as far as the recorder can answer.

use std::collections::HashMap;

use axum::{body::Body, http::Response};
use jiff::Timestamp;

use crate::{
    answer::{Refusal, page},
    page::Activity,
    portal::{Ask, Membership},
    shown,
};

/// The recorder, as it is asked.
pub(crate) struct Source;

impl Source {
    /// When each RuntimeToken of the Team's namespace was last used, by name; `None` where the recorder does not answer.
    pub(crate) async fn last_use(&self, _: &Ask, _: &Membership) -> Option<HashMap<String, Timestamp>> {
        None
    }
}

/// `GET …/activity`.
pub(crate) async fn show(ask: &Ask, membership: &Membership) -> Result<Response<Body>, Refusal> {
    Ok(page(&Activity {
        shell: shown::team_shell(ask, membership),
        place: shown::place(membership),
        unavailable: true,
        ..Activity::default()
    }))
}
