//! Every call that reached the emulator.

use axum::http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Calls kept in full; the counters go on beyond.
const KEPT: usize = 1000;

/// Headers that may hold a credential. All header values stay out of the ledger; of these it says that they came.
const CREDENTIALS: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "x-amz-access-token", "x-amz-security-token"];

/// One call, without any value that might be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When it arrived, by the emulator's clock.
    pub time: Timestamp,
    /// `lwa`, an operation such as `orders/v0/getOrders`, or `unknown`.
    pub operation: String,
    /// `Host` as sent.
    pub host: Option<String>,
    /// The seller whose token came with it, if that token was ever good.
    pub seller: Option<String>,
    /// Marketplace ids in the parameter the operation knows, as Amazon reads it.
    pub marketplaces: Vec<String>,
    /// Names of the query parameters, as sent, each once.
    pub parameters: Vec<String>,
    /// Names of the headers, in lower case, each once.
    pub headers: Vec<String>,
    /// Of the headers that may hold a credential, how many values came of each.
    pub credentials: BTreeMap<String, usize>,
    /// The answer's status; `None` while there is none, and for good if the caller left before.
    pub status: Option<u16>,
}

impl Call {
    pub(crate) fn arriving(time: Timestamp, operation: &str, headers: &HeaderMap) -> Self {
        let came = |name: &&str| ((*name).to_owned(), headers.get_all(*name).iter().count());
        Self {
            time,
            operation: operation.to_owned(),
            host: headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned()),
            seller: None,
            marketplaces: Vec::new(),
            parameters: Vec::new(),
            headers: headers.keys().map(ToString::to_string).collect(),
            credentials: CREDENTIALS.iter().map(came).filter(|(_, count)| *count > 0).collect(),
            status: None,
        }
    }
}

/// How many calls there were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// By operation (or `lwa`, or `unknown`), then by status, `unanswered` for those without.
    pub calls: BTreeMap<String, BTreeMap<String, u64>>,
    /// Bodies being trickled right now.
    pub open_streams: u64,
}

impl Counters {
    /// Calls of this operation answered with this status.
    #[must_use]
    pub fn answered(&self, operation: &str, status: u16) -> u64 {
        self.count(operation, &status.to_string())
    }

    /// Calls of this operation not answered, yet or ever.
    #[must_use]
    pub fn unanswered(&self, operation: &str) -> u64 {
        self.count(operation, UNANSWERED)
    }

    /// Calls of this operation, however they ended.
    #[must_use]
    pub fn all(&self, operation: &str) -> u64 {
        self.calls.get(operation).map_or(0, |statuses| statuses.values().sum())
    }

    fn count(&self, operation: &str, status: &str) -> u64 {
        self.calls.get(operation).and_then(|statuses| statuses.get(status)).copied().unwrap_or_default()
    }
}

const UNANSWERED: &str = "unanswered";

/// Names a call in the ledger until it is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry(u64);

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    next: u64,
    /// Entries before it were wiped by a reset, so a late answer to one counts nowhere.
    first: u64,
    calls: VecDeque<(u64, Call)>,
    counters: Counters,
}

impl Ledger {
    pub(crate) fn arrived(&self, call: Call) -> Entry {
        let mut book = self.book();
        let entry = book.next;
        book.next += 1;
        *book.counters.calls.entry(call.operation.clone()).or_default().entry(UNANSWERED.to_owned()).or_default() += 1;
        if book.calls.len() == KEPT {
            book.calls.pop_front();
        }
        book.calls.push_back((entry, call));
        Entry(entry)
    }

    /// Adds what was learnt after arrival.
    pub(crate) fn note(&self, entry: Entry, learnt: impl FnOnce(&mut Call)) {
        if let Some((_, call)) = self.book().calls.iter_mut().rev().find(|(number, _)| *number == entry.0) {
            learnt(call);
        }
    }

    pub(crate) fn answered(&self, entry: Entry, operation: &str, status: u16) {
        self.note(entry, |call| call.status = Some(status));
        let mut book = self.book();
        if entry.0 < book.first {
            return;
        }
        let statuses = book.counters.calls.entry(operation.to_owned()).or_default();
        if let Some(waiting) = statuses.get_mut(UNANSWERED) {
            *waiting -= 1;
            if *waiting == 0 {
                statuses.remove(UNANSWERED);
            }
        }
        *statuses.entry(status.to_string()).or_default() += 1;
    }

    pub(crate) fn stream_opened(&self) {
        self.book().counters.open_streams += 1;
    }

    pub(crate) fn stream_closed(&self) {
        self.book().counters.open_streams -= 1;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.book().calls.iter().map(|(_, call)| call.clone()).collect()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.book().counters.clone()
    }

    /// Forgets all calls; streams still open stay counted.
    pub(crate) fn reset(&self) {
        let mut book = self.book();
        book.first = book.next;
        book.calls.clear();
        book.counters.calls.clear();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
