//! Containing: stopping everything under a Team, a connection or a token at once.

use askama::Template;

use super::{Fault, Field, Place, Shell, When, parts::faults};

/// `GET …/contain`, and the answer to a `…/contain` without an incident; posts `incident` and `why` to `action`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "contain.html")]
pub struct Contain {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// What, in words, such as `connection Acme, North America`.
    pub what: String,
    /// Where the form goes.
    pub action: String,
    /// Where to go instead.
    pub back: String,
    /// Names of the connections that stop.
    pub connections: Vec<String>,
    /// Names of the tokens that stop.
    pub tokens: Vec<String>,
    /// Names of the agents that stop.
    pub agents: Vec<String>,
    /// Connections whose handed-out Amazon token goes on working, and until when.
    pub exposed: Vec<(String, When)>,
    /// The incident's name, such as `inc-7`.
    pub incident: Field,
    /// The reason, in words.
    pub why: Field,
}

impl Contain {
    fn faults(&self) -> Vec<Fault> {
        faults([("incident", &self.incident.error), ("why", &self.why.error)])
    }
}
