//! Where one is signed in, and ending that.

use audit::{Reason, SignIn, Step};
use axum::{body::Body, http::Response};

use crate::{
    answer::{Refusal, page, see_other},
    page::{SessionRow, Sessions, When},
    portal::{Ask, Visitor},
    session::{self, ABSOLUTE},
    shown,
};

/// `GET /sessions`.
pub(crate) fn list(ask: &Ask, visitor: &Visitor) -> Response<Body> {
    let row = |session: &crds::PortalSession| SessionRow {
        id: session.id.clone(),
        device: session.browser.clone(),
        network: session.network.clone(),
        began: When(session.created_at.0),
        last_use: When(session.used_at.0),
        ends: When(session.created_at.0 + ABSOLUTE),
        here: session.id == visitor.session.id,
    };
    let mut sessions: Vec<_> = session::living(&visitor.user.spec, ask.now).into_iter().map(row).collect();
    sessions.sort_by_key(|session| !session.here);
    page(&Sessions { shell: shown::shell(ask, visitor), sessions })
}

/// `POST /sessions/{id}/end`.
pub(crate) async fn end(ask: &Ask, visitor: &Visitor, id: &str) -> Result<Response<Body>, Refusal> {
    if id == visitor.session.id {
        return crate::sign_in::out(ask, visitor).await;
    }
    end_those(ask, visitor, |session| session.id == id).await
}

/// `POST /sessions/end-others`.
pub(crate) async fn end_others(ask: &Ask, visitor: &Visitor) -> Result<Response<Body>, Refusal> {
    let own = visitor.session.id.clone();
    end_those(ask, visitor, |session| session.id != own).await
}

async fn end_those(
    ask: &Ask,
    visitor: &Visitor,
    which: impl Fn(&crds::PortalSession) -> bool,
) -> Result<Response<Body>, Refusal> {
    let ended = ask
        .portal
        .users
        .change(&visitor.name, |spec| {
            let (ended, left) = std::mem::take(&mut spec.sessions).into_iter().partition(|session| which(session));
            spec.sessions = left;
            let ended: Vec<crds::PortalSession> = ended;
            ended
        })
        .await?
        .unwrap_or_default();
    for session in ended {
        let step = Step::LoggedOff(session::digest(&session.hash), Reason::new("EndedElsewhere"));
        ask.portal.recorder.record_later(SignIn { person: ask.person(&visitor.email), step });
    }
    Ok(see_other("/sessions"))
}
