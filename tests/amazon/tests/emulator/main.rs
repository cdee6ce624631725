//! The emulator through its real listeners, as its callers meet it.

mod answers;
mod consent;
mod control;
mod login;
mod models;
mod program;
mod requests;
mod rotation;
mod switches;
mod world;
