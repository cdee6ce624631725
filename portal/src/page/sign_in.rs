//! Signing in: the address, the code, and why not now.

use askama::Template;

use super::{Field, Shell};

/// Asks for the address. `GET /sign-in`; posts `email` and `next` there.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "sign_in.html")]
pub struct SignIn {
    /// Around it.
    pub shell: Shell,
    /// The address typed.
    pub email: Field,
    /// Where the person wanted to go; sent along as `next`.
    pub next: Option<String>,
}

/// Asks for the code. `GET /sign-in/code`; posts `code` there. Says the same for every address.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "sign_in_code.html")]
pub struct SignInCode {
    /// Around it.
    pub shell: Shell,
    /// The address that was typed; nothing is said about whether it is known.
    pub email: String,
    /// How long a code is good, in minutes.
    pub minutes: u32,
    /// The code typed, with what is wrong. The value is never shown again.
    pub code: Field,
}

/// Signing in is refused for a while, with status 429: too much came from here. Reveals nothing of the address.
#[derive(Clone, Debug, Template)]
#[template(path = "limited.html")]
pub struct Limited {
    /// Around it.
    pub shell: Shell,
    /// Whom to write to for help: a mail address.
    pub contact: Option<String>,
}
