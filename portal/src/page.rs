//! What people see: each page is a struct of plain data and a template. No decision is made here, and nothing is asked of
//! a clock or a cluster: a handler fills in what it decided, a page says it in words.
//!
//! Every text goes out escaped. Of what a page may do, fields named `may_…` say so; a form that is not allowed is not shown.
//! A page that answers a form is the page of the form again, with what was typed and with what is wrong beside each field.

mod activity;
mod amazon_login;
mod asset;
mod connection;
mod connection_delete;
mod connection_new;
mod consent_return;
mod contain;
mod country;
mod error;
mod mail;
mod members;
mod parts;
mod security;
mod security_txt;
mod sessions;
mod shell;
mod sign_in;
mod snippet;
mod team;
mod teams;
mod token_issued;
mod token_new;
mod tokens;

pub use activity::{Activity, ActivityEvent, ActivityFilter, Choice, Loosened, Select};
pub use amazon_login::{AmazonLogin, PendingConsent};
pub use asset::{Asset, asset, css_path, icon_path, js_path};
pub use connection::{Connection, ConnectionMay, ConnectionUser, LiveStatus, MarketplaceRow, Step, StepState};
pub use connection_delete::ConnectionDelete;
pub use connection_new::{ApplicationChoice, ConnectionNew, MarketplaceChoice, RegionChoice};
pub use consent_return::{ConsentProblem, ConsentReturn};
pub use contain::Contain;
pub use country::Marketplace;
pub use error::{ErrorPage, Problem};
pub use mail::{CodeMail, LockMail};
pub use members::{MemberRow, Members};
pub use parts::{Fault, Field, Status, Tone, When};
pub use security::{Fact, Security};
pub use security_txt::security_txt;
pub use sessions::{SessionRow, Sessions};
pub use shell::{Banner, Place, Shell, TeamLink};
pub use sign_in::{Limited, SignIn, SignInCode};
pub use team::{ConnectionRow, EndingToken, NextStep, TeamPage};
pub use teams::{Accept, NoTeam, TeamRow, Teams};
pub use token_issued::TokenIssued;
pub use token_new::{ClassChoice, ConnectionChoice, LifetimeChoice, OperationClass, TokenNew};
pub use tokens::{LastUse, TokenRow, Tokens};

#[cfg(test)]
mod tests;
