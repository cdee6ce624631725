//! What a platform team sees and sets: settings, metrics, alerts, the dashboard, traces.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod alerts;
mod dashboard;
mod settings;
mod traces;
mod z_afterwards;
