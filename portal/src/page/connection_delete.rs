//! Deleting a connection.

use askama::Template;

use super::{Field, Place, Shell};

/// `GET …/connections/{name}/delete`: what breaks; posts `confirm` there.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "connection_delete.html")]
pub struct ConnectionDelete {
    /// Around it.
    pub shell: Shell,
    /// The Team.
    pub place: Place,
    /// The object's name, which has to be typed.
    pub name: String,
    /// The name people see.
    pub display_name: String,
    /// Names of the runtime tokens that will open it no more.
    pub tokens: Vec<String>,
    /// Names of the agents' grants that will open it no more.
    pub agents: Vec<String>,
    /// What was typed.
    pub confirm: Field,
}

impl ConnectionDelete {
    fn path(&self) -> String {
        format!("{}/connections/{}", self.place.path(), self.name)
    }
}
