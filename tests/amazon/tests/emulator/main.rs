//! The emulator through its real listeners, as its callers meet it.

mod answers;
mod control;
mod login;
mod program;
mod requests;
mod switches;
mod world;
