//! Questions, and what is answered.

use std::collections::BTreeSet;

use audit::{Class, Name, ObjectName, wire::reading::Outcome};
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::log::testing::{T0, T1, grow, segment_of};

/// A call of a connection, or every tenth time a containment.
fn record(sequence: u64, time: i64) -> String {
    let connection = ["na", "eu"][(sequence % 2) as usize];
    let names = format!(
        r#""team":{{"namespace":"acme","name":"acme"}},"connection":{{"namespace":"acme","name":"{connection}"}}"#
    );
    let event = if sequence.is_multiple_of(10) {
        format!(
            r#"{{"class_uid":3004,"activity_id":9,"status_id":1,"message":"contained","entity":{{"type":"AmazonConnection","name":"other/{connection}"}},"unmapped":{{}}}}"#
        )
    } else {
        let (status, action) = match sequence % 3 {
            0 => (2, 2),
            1 => (99, 1),
            _ => (1, 1),
        };
        format!(
            r#"{{"class_uid":6003,"activity_id":2,"status_id":{status},"action_id":{action},"message":"called","actor":{{"user":{{"name":"system:serviceaccount:acme:agent-{}"}}}},"api":{{"operation":"orders/v0/getOrders"}},"unmapped":{{{names}}}}}"#,
            sequence % 4
        )
    };
    format!(
        r#"{{"writer":{{"role":"gateway","pod":"gateway-0"}},"time":{time},"sequence":{sequence},"event":{event}}}"#
    )
}

/// 2,000 records, a second apart, the last 700 in the next quarter; in bundles but for the newest.
fn journal() -> TempDir {
    let dir = TempDir::new().unwrap();
    let at = |sequence: u64| if sequence < 1301 { T0 } else { T1 } + sequence.cast_signed() * 1000;
    for first in [1, 1301] {
        let last = if first == 1 { 1301 } else { 2001 };
        let records: Vec<String> = (first..last).map(|sequence| record(sequence, at(sequence))).collect();
        segment_of(dir.path(), first, &records);
    }
    grow(dir.path(), 2001, Vec::new());
    // What is in bundles as a whole is deleted from the journal.
    std::fs::remove_file(dir.path().join("journal-00000000000000000001.otj")).unwrap();
    dir
}

fn lines(dir: &TempDir, query: &Query, limit: Option<usize>) -> Vec<String> {
    let mut out = Vec::new();
    let options = Options { format: Format::Json, limit };
    let answered = print(dir.path(), query, options, &mut out, &mut || false).unwrap();
    let lines: Vec<String> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    assert_eq!((answered.records as usize, answered.unreadable), (lines.len(), vec![]));
    lines
}

fn numbers(dir: &TempDir, query: &Query, limit: Option<usize>) -> Vec<u64> {
    lines(dir, query, limit).iter().map(|line| Stamp::of(line.as_bytes()).unwrap().sequence).collect()
}

fn object(name: &str) -> Option<ObjectName> {
    Some(ObjectName::parse("acme", name).unwrap())
}

#[test]
fn everything_comes_once_in_order_and_as_it_is_stored() {
    let dir = journal();
    let all = lines(&dir, &Query::default(), None);
    assert_eq!(all.len(), 2000);
    assert_eq!(all[1299], record(1300, T0 + 1_300_000));
    assert_eq!(numbers(&dir, &Query::default(), None), (1..2001).collect::<Vec<_>>());
    assert_eq!(numbers(&dir, &Query::default(), Some(3)), [1998, 1999, 2000]);
    assert_eq!(numbers(&dir, &Query::default(), Some(1500)), (501..2001).collect::<Vec<_>>());
}

#[test]
fn each_filter_leaves_what_it_says() {
    let dir = journal();
    let call = |n: &u64| !n.is_multiple_of(10);
    let only = |query: &Query, wanted: &dyn Fn(&u64) -> bool| {
        let expected: Vec<u64> = (1..2001).filter(wanted).collect();
        assert_eq!(numbers(&dir, query, None), expected, "{query:?}");
        let newest = expected.iter().rev().take(5).rev().copied().collect::<Vec<_>>();
        assert_eq!(numbers(&dir, query, Some(5)), newest, "{query:?}");
    };
    only(&Query { connection: object("na"), ..Query::default() }, &|n| call(n) && n % 2 == 0);
    only(&Query { team: object("acme"), ..Query::default() }, &|n| call(n));
    only(&Query { team: object("other"), ..Query::default() }, &|_| false);
    only(&Query { class: Some(Class::EntityManagement), ..Query::default() }, &|n| !call(n));
    only(&Query { actor: Some("agent-3".to_owned()), ..Query::default() }, &|n| call(n) && n % 4 == 3);
    only(&Query { text: Some("contained".to_owned()), ..Query::default() }, &|n| !call(n));
    only(&Query { text: Some("say \"no\"".to_owned()), ..Query::default() }, &|_| false);
    let refused = Query { outcomes: vec![Outcome::Refused], ..Query::default() };
    only(&refused, &|n| call(n) && n % 3 == 0);
    let several = Query { outcomes: vec![Outcome::Refused, Outcome::Intended], ..Query::default() };
    only(&several, &|n| call(n) && n % 3 != 2);
    let namespace = |name: &str| Query { namespace: Some(Name::parse(name).unwrap()), ..Query::default() };
    only(&namespace("acme"), &|n| call(n));
    only(&namespace("other"), &|n| !call(n));
    only(&namespace("gateway"), &|_| false);
}

#[test]
fn times_are_looked_up_in_the_index_and_held_exactly() {
    let dir = journal();
    let time = |sequence: i64| Some(Timestamp::from_millisecond(T0 + sequence * 1000).unwrap());
    let within = Query { since: time(300), until: time(900), ..Query::default() };
    assert_eq!(numbers(&dir, &within, None), (300..900).collect::<Vec<_>>());
    assert_eq!(numbers(&dir, &within, Some(2)), [898, 899]);
    // Bundles of other times are not opened: they could not be.
    for bundle in ["000", "004"] {
        std::fs::remove_file(dir.path().join(format!("log/2026q4/tile/entries/{bundle}.gz"))).unwrap();
    }
    assert_eq!(numbers(&dir, &within, None).len(), 600);
    let mut out = Vec::new();
    let options = Options { format: Format::Json, limit: None };
    let answered = print(dir.path(), &Query::default(), options, &mut out, &mut || false).unwrap();
    assert_eq!((answered.records, answered.unreadable.len()), (2000 - 255 - 256, 2));
}

#[test]
fn a_table_is_aligned_and_ends_with_its_last_row() {
    let dir = journal();
    let mut out = Vec::new();
    let options = Options { format: Format::Table, limit: Some(1200) };
    assert_eq!(print(dir.path(), &Query::default(), options, &mut out, &mut || false).unwrap().records, 1200);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 1201);
    assert!(text.starts_with("TIME  "), "{text}");
    let cells: Vec<&str> =
        text.lines().last().unwrap().split("  ").map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(cells[1..4], ["gateway-0", "EntityManagement", "contained: AmazonConnection other/na"]);
    assert_eq!(cells[4..], ["succeeded", "-", "-", "-"]);
}

#[test]
fn what_is_stored_meanwhile_follows_though_it_goes_into_bundles() {
    let dir = TempDir::new().unwrap();
    let records = |to: u64| (1..to).map(|it| record(it, T0 + it.cast_signed())).collect::<Vec<_>>();
    segment_of(dir.path(), 1, &records(11));
    let mut out = Vec::new();
    let mut step = 0;
    let root = dir.path();
    let mut wait = || {
        step += 1;
        match step {
            1 => segment_of(root, 1, &records(301)),
            2 => {
                // All of it went into bundles, and there is more.
                segment_of(root, 1, &records(701));
                grow(root, 701, Vec::new());
                std::fs::remove_file(root.join("journal-00000000000000000001.otj")).unwrap();
                let rest: Vec<String> = (512..701).map(|it| record(it, T0 + it.cast_signed())).collect();
                segment_of(root, 512, &rest);
            }
            3 => {}
            _ => return false,
        }
        true
    };
    let options = Options { format: Format::Json, limit: Some(2) };
    print(root, &Query::default(), options, &mut out, &mut wait).unwrap();
    let text = String::from_utf8(out).unwrap();
    let seen: Vec<u64> = text.lines().map(|line| Stamp::of(line.as_bytes()).unwrap().sequence).collect();
    assert_eq!(seen, (9..701).collect::<Vec<_>>());
}

#[test]
fn pages_of_any_size_come_to_the_same() {
    let dir = journal();
    let query = Query { connection: object("na"), ..Query::default() };
    let (mut seen, mut before) = (BTreeSet::new(), None);
    loop {
        let (lines, more) = page(dir.path(), &query, before, Some(77)).unwrap();
        assert!(lines.len() <= 77);
        seen.extend(lines.iter().map(|line| Stamp::of(line.as_bytes()).unwrap().sequence));
        let Some(next) = more.next else { break };
        before = Some(next);
    }
    assert_eq!(seen.len(), 800);
}
