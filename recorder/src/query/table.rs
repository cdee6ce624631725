//! Records as rows for people.

use audit::{Class, wire::reading::Outcome};
use jiff::Timestamp;
use serde_json::Value;

use super::filter::{Hit, actor_of, class_name, text};
use crate::activity::outcome;

const HEADINGS: [&str; 8] = ["TIME", "WRITER", "CLASS", "WHAT", "OUTCOME", "ACTOR", "CONNECTION", "OPERATION"];
/// Rows by which the width of columns is chosen.
const LOOKED_AT: usize = 500;
/// A cell that is wider moves the rest of its row, not all rows.
const WIDEST: usize = 48;

/// Rows, aligned by the first of them.
pub(crate) struct Table {
    waiting: Vec<[String; 8]>,
    widths: Option<[usize; 8]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { waiting: Vec::new(), widths: None }
    }

    /// What is to be printed once this record is there.
    pub(crate) fn add(&mut self, hit: &Hit) -> String {
        let row = row(hit);
        if let Some(widths) = &self.widths {
            return line(&row.each_ref().map(String::as_str), widths);
        }
        self.waiting.push(row);
        if self.waiting.len() < LOOKED_AT { String::new() } else { self.flush() }
    }

    /// What is still to be printed.
    pub(crate) fn flush(&mut self) -> String {
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return String::new();
        }
        let widths = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count().min(WIDEST));
            cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
        });
        self.widths = Some(widths);
        let body = rows.iter().map(|row| line(&row.each_ref().map(String::as_str), &widths));
        [line(&HEADINGS, &widths)].into_iter().chain(body).collect()
    }
}

fn line(cells: &[&str; 8], widths: &[usize; 8]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let cell = if cell.is_empty() { "-" } else { cell };
        format!("{cell:width$}")
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
}

fn row(Hit { stamp, record, .. }: &Hit) -> [String; 8] {
    let event = &record["event"];
    let time = Timestamp::from_millisecond(stamp.time)
        .map_or_else(|_| stamp.time.to_string(), |time| time.strftime("%FT%T%.3fZ").to_string());
    let uid = event["class_uid"].as_u64();
    let class = uid.and_then(Class::from_uid).map(class_name).or_else(|| uid.map(|uid| uid.to_string()));
    let entity = &event["entity"];
    let message = text(&event["message"]);
    let what = if entity.is_object() {
        format!("{message}: {} {}", text(&entity["type"]), text(&entity["name"]))
    } else {
        message.to_owned()
    };
    let ended = match outcome(event["action_id"].as_u64(), event["status_id"].as_u64()) {
        Outcome::Intended => "intended",
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Refused => "refused",
    };
    let ended = match text(&event["status_detail"]) {
        "" => ended.to_owned(),
        why => format!("{ended} ({why})"),
    };
    let connection = &event["unmapped"]["connection"];
    let connection = match (text(&connection["namespace"]), text(&connection["name"])) {
        ("", _) | (_, "") => String::new(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    [
        time,
        text(&record["writer"]["pod"]).to_owned(),
        class.unwrap_or_default(),
        what,
        ended,
        actor_of(event).to_owned(),
        connection,
        operation(event).to_owned(),
    ]
    .map(|cell| cell.replace(char::is_control, "?"))
}

fn operation(event: &Value) -> &str {
    text(&event["api"]["operation"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::log::Stamp;

    #[test]
    fn a_row_says_who_did_what_and_how_it_ended() {
        let record = json!({
            "writer": {"role": "gateway", "pod": "gateway-0"},
            "event": {
                "class_uid": 6003, "message": "refused", "action_id": 2, "status_detail": "MarketplaceNotInScope",
                "actor": {"user": {"name": "system:serviceaccount:acme:agent"}},
                "api": {"operation": "orders/v0/getOrders"},
                "unmapped": {"connection": {"namespace": "acme", "name": "na"}},
            },
        });
        let hit = Hit { stamp: Stamp { time: 1_796_000_000_123, sequence: 1 }, line: String::new(), record };
        let mut table = Table::new();
        assert_eq!(table.add(&hit), "");
        let told = table.flush();
        let lines: Vec<Vec<&str>> =
            told.lines().map(|line| line.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect()).collect();
        assert_eq!(lines[0], HEADINGS);
        assert_eq!(
            lines[1],
            [
                "2026-11-30T00:53:20.123Z",
                "gateway-0",
                "ApiActivity",
                "refused",
                "refused (MarketplaceNotInScope)",
                "system:serviceaccount:acme:agent",
                "acme/na",
                "orders/v0/getOrders"
            ]
        );
        assert_eq!(table.add(&hit).lines().count(), 1, "later rows come at once");
    }
}
