//! The bytes of a journal.
//!
//! A segment file `journal-<first sequence, 20 digits>.otj` is a row of frames and nothing else:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | length of the payload, big-endian, 1 to [`MAX_PAYLOAD_BYTES`] |
//! | 4 | CRC-32 (IEEE 802.3) of the payload, big-endian |
//! | length | payload: one [`Record`] as JSON, without a line end |
//!
//! JSON holds no byte 0 and the first byte of every length is 0, so a frame never starts inside a payload: after
//! damage the next frame is found by looking for one at each byte.

use std::{
    fmt::Write,
    io::{self, Read},
};

use audit::{Peer, wire::MAX_EVENT_BYTES};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest payload: an event, and 1 KiB for what the recorder adds to it.
pub(crate) const MAX_PAYLOAD_BYTES: usize = MAX_EVENT_BYTES + 1024;

pub(crate) const HEADER_BYTES: usize = 8;
const READ_BYTES: usize = 64 * 1024;

/// What is stored of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<P = Peer, E = Value> {
    /// Who sent it, by its certificate.
    pub writer: P,
    /// When this recorder stored it, in milliseconds since 1970.
    pub time: i64,
    /// Its number in this recorder's journal, from 1, without gaps.
    pub sequence: u64,
    /// The event, as OCSF.
    pub event: E,
}

impl Record {
    /// Appends one as JSON. `writer` and `event` are JSON already; an event stays as its writer wrote it.
    pub(crate) fn write(into: &mut String, writer: &str, time: i64, sequence: u64, event: &str) {
        // Writing to a String cannot fail.
        let _ = write!(into, r#"{{"writer":{writer},"time":{time},"sequence":{sequence},"event":{event}}}"#);
    }
}

/// Appends a frame. `false`, and nothing appended, when the payload is too long.
pub(crate) fn push(frames: &mut Vec<u8>, payload: &[u8]) -> bool {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD_BYTES {
        return false;
    }
    frames.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frames.extend_from_slice(&crc32fast::hash(payload).to_be_bytes());
    frames.extend_from_slice(payload);
    true
}

/// A part of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A whole frame.
    Frame { offset: u64, payload: Vec<u8> },
    /// Bytes that are no frame, up to the next frame or the end.
    Unreadable { offset: u64, bytes: u64, at_end: bool },
}

/// Cuts a segment into its pieces, holding only a few of them in memory.
pub(crate) struct Pieces<R> {
    source: R,
    window: Vec<u8>,
    /// Where in `window` the next piece starts.
    start: usize,
    /// Where in the segment that is.
    offset: u64,
    ended: bool,
}

impl<R: Read> Pieces<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, window: Vec::new(), start: 0, offset: 0, ended: false }
    }

    /// Makes sure that a frame of any length is in the window, if the segment has that many bytes left.
    fn fill(&mut self) -> io::Result<()> {
        if self.ended || self.window.len() - self.start >= HEADER_BYTES + MAX_PAYLOAD_BYTES {
            return Ok(());
        }
        self.window.drain(..self.start);
        self.start = 0;
        let wanted = HEADER_BYTES + MAX_PAYLOAD_BYTES + READ_BYTES - self.window.len();
        let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.window)?;
        self.ended = read < wanted;
        Ok(())
    }

    /// The payload of the frame that starts here, if one does.
    fn payload(&self) -> Option<&[u8]> {
        let (length, rest) = self.window[self.start..].split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if !(1..=MAX_PAYLOAD_BYTES).contains(&length) {
            return None;
        }
        let payload = rest.get(..length)?;
        (crc32fast::hash(payload) == u32::from_be_bytes(*crc)).then_some(payload)
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }
}

impl<R: Read> Iterator for Pieces<R> {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.offset;
        loop {
            if let Err(error) = self.fill() {
                return Some(Err(error));
            }
            let unreadable = self.offset - from;
            if self.start == self.window.len() {
                return (unreadable > 0).then_some(Ok(Piece::Unreadable {
                    offset: from,
                    bytes: unreadable,
                    at_end: true,
                }));
            }
            match self.payload().map(<[u8]>::to_vec) {
                Some(_) if unreadable > 0 => {
                    return Some(Ok(Piece::Unreadable { offset: from, bytes: unreadable, at_end: false }));
                }
                Some(payload) => {
                    self.advance(HEADER_BYTES + payload.len());
                    return Some(Ok(Piece::Frame { offset: from, payload }));
                }
                None => self.advance(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        payloads.iter().for_each(|payload| assert!(push(&mut bytes, payload)));
        bytes
    }

    fn pieces(bytes: &[u8]) -> Vec<Piece> {
        Pieces::new(bytes).map(Result::unwrap).collect()
    }

    fn frame(offset: u64, payload: &[u8]) -> Piece {
        Piece::Frame { offset, payload: payload.to_vec() }
    }

    #[test]
    fn a_record_reads_back() {
        let writer = Peer { role: audit::Role::Gateway, pod: audit::Name::parse("gateway-0").unwrap() };
        let mut payload = String::new();
        Record::write(&mut payload, &serde_json::to_string(&writer).unwrap(), -1, 7, r#"{"a":"\"}"}"#);
        let event = serde_json::json!({ "a": "\"}" });
        assert_eq!(serde_json::from_str::<Record>(&payload).unwrap(), Record { writer, time: -1, sequence: 7, event });
    }

    #[test]
    fn frames_read_back() {
        let long = vec![b'x'; MAX_PAYLOAD_BYTES];
        let bytes = frames(&[b"{}", &long, b"[1]"]);
        let third = (10 + 8 + long.len()) as u64;
        assert_eq!(pieces(&bytes), [frame(0, b"{}"), frame(10, &long), frame(third, b"[1]")]);
        assert_eq!(pieces(&[]), []);
    }

    #[test]
    fn an_empty_or_too_long_payload_makes_no_frame() {
        let mut bytes = Vec::new();
        assert!(!push(&mut bytes, b""));
        assert!(!push(&mut bytes, &vec![b'x'; MAX_PAYLOAD_BYTES + 1]));
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_frame_cut_anywhere_is_unreadable_at_the_end() {
        let bytes = frames(&[b"{\"a\":1}", b"{\"b\":2}"]);
        for end in 16..30 {
            assert_eq!(
                pieces(&bytes[..end])[1..],
                [Piece::Unreadable { offset: 15, bytes: end as u64 - 15, at_end: true }]
            );
        }
    }

    #[test]
    fn any_changed_byte_is_noticed_and_the_frames_around_it_are_still_read() {
        let good = frames(&[b"{\"a\":1}", b"{\"b\":2}", b"{\"c\":3}"]);
        for at in 15..30 {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                assert_eq!(
                    pieces(&bytes),
                    [
                        frame(0, b"{\"a\":1}"),
                        Piece::Unreadable { offset: 15, bytes: 15, at_end: false },
                        frame(30, b"{\"c\":3}")
                    ],
                    "byte {at}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn zeroes_that_a_file_system_left_are_no_frames() {
        let mut bytes = frames(&[b"{}"]);
        bytes.resize(10 + 4096, 0);
        assert_eq!(pieces(&bytes)[1..], [Piece::Unreadable { offset: 10, bytes: 4096, at_end: true }]);
    }
}
