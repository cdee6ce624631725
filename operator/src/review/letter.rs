//! The mail that says that the record is to be reviewed. It leaves the cluster, so that a checkpoint of each log is where nobody
//! in it can change it; beside those it has numbers only.

use std::fmt::Write;

use jiff::Timestamp;
use process::review::{Kept, OfRecorder};

/// A mail.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
}

/// Says what there is to review.
pub(super) fn letter(kept: &Kept, system: &str) -> Letter {
    let content = &kept.content;
    let (from, to, due) = (day(content.from), day(content.to), day(kept.due_by));
    let state = if content.is_verified { "every log is whole" } else { "NOT EVERY LOG WAS FOUND WHOLE" };
    let mut text = format!(
        "OpenTeam's record from {from} to {to} is to be reviewed by {due}: {state}.\n\n\
         Look at it, and sign it off by your name:\n\n  \
         openteam audit review -n {system}\n  openteam audit review sign-off -n {system}\n\n\
         Digest {}\n",
        kept.digest()
    );
    for one in &content.recorders {
        of_recorder(&mut text, one);
    }
    text.push_str(
        "\nKeep this mail. These are the newest checkpoints of the logs, by origin, size and root: with them anybody can show \
         later whether something that was recorded until now has been changed.\n",
    );
    for log in &content.witnessed {
        let _ = write!(text, "\n{}", log.checkpoint());
    }
    Letter { subject: format!("Review OpenTeam's record by {due}"), text }
}

fn of_recorder(text: &mut String, one: &OfRecorder) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\nRecorder {}", one.pod);
    let Some(digest) = &one.digest else {
        let _ = writeln!(text, "  did not answer: {}", one.missing.as_deref().unwrap_or_default());
        return;
    };
    for count in &digest.counts {
        let _ = writeln!(text, "  {} {} {:?}: {}", count.class, count.caption, count.outcome, count.events);
    }
    for kind in &digest.detections {
        let _ = writeln!(text, "  needs a look: {} {}", kind.events, kind.kind);
    }
    for log in digest.logs.iter().filter(|log| !log.flaws.is_empty() || log.more_flaws > 0) {
        let flaws = log.flaws.len() as u64 + log.more_flaws;
        let _ = writeln!(text, "  log {} is not whole: {flaws} flaws", log.shard);
    }
    if digest.unreadable > 0 {
        let _ = writeln!(text, "  places that hold no event: {}", digest.unreadable);
    }
}

fn day(time: Timestamp) -> String {
    time.strftime("%F %H:%M UTC").to_string()
}
