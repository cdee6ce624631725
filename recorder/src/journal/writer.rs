//! The thread that writes.

use std::{io, path::PathBuf, sync::Arc, time::Instant};

use audit::{Checked, Peer};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    AppendError, Appended, Metrics,
    disk::{Disk, Segment},
    recovery::{End, segment_path},
};
use crate::frame::{self, Record};

/// A group commit takes no further batch once it is this long.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// A batch, and who waits for it.
pub(super) struct Append {
    pub writer: Peer,
    pub events: Vec<Checked>,
    pub answer: oneshot::Sender<Result<Appended, AppendError>>,
}

pub(super) struct Writer {
    dir: PathBuf,
    disk: Disk,
    /// What is known to be on disk. Nothing past `end.length` was ever acknowledged.
    end: End,
    /// `None` after a failure: the file is then opened anew and cut back to `end.length` before the next write,
    /// because after a failed sync the kernel may have thrown away what it had not written.
    segment: Option<Box<dyn Segment>>,
    /// The recorder's own events about what opening found wrong. They go ahead of everything else, as soon as
    /// the disk takes anything.
    owed: Vec<Checked>,
    own: Peer,
    metrics: Metrics,
    /// Told the number of the next record once everything before is on disk.
    durable: watch::Sender<u64>,
}

/// What is written and synced at once.
struct Group {
    frames: Vec<u8>,
    next_sequence: u64,
    /// Who is answered once it is on disk.
    waiting: Vec<(oneshot::Sender<Result<Appended, AppendError>>, Appended)>,
}

impl Writer {
    pub(super) fn new(
        dir: PathBuf,
        disk: Disk,
        end: End,
        own: Peer,
        owed: Vec<Checked>,
        metrics: Metrics,
        durable: watch::Sender<u64>,
    ) -> Self {
        Self { dir, disk, end, segment: None, owed, own, metrics, durable }
    }

    /// Writes until nothing can be appended any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Append>) {
        if !self.owed.is_empty() {
            let group = self.group();
            self.finish(group);
        }
        while let Some(first) = queue.blocking_recv() {
            let mut group = self.group();
            group.add(first);
            while group.frames.len() < GROUP_BYTES
                && let Ok(append) = queue.try_recv()
            {
                group.add(append);
            }
            self.finish(group);
        }
    }

    /// A group with what is owed.
    fn group(&self) -> Group {
        let mut group = Group { frames: Vec::new(), next_sequence: self.end.next_sequence, waiting: Vec::new() };
        if let Err(index) = group.stamp(&self.own, &self.owed) {
            tracing::error!(index, "an event of the recorder's own is too long and is lost");
        }
        group
    }

    /// Stores a group and answers who waits for it.
    fn finish(&mut self, group: Group) {
        let stored = self.commit(&group);
        match &stored {
            Ok(()) => self.owed.clear(),
            Err(error) => {
                tracing::error!(%error, batches = group.waiting.len(), "the journal could not store events");
            }
        }
        for (answer, appended) in group.waiting {
            // Who no longer waits will send again; copies are known by their uid.
            let _ = answer.send(match &stored {
                Ok(()) => Ok(appended),
                Err(error) => Err(append_error(error)),
            });
        }
    }

    /// Writes and syncs a group. Only after `Ok` may it be acknowledged.
    fn commit(&mut self, group: &Group) -> io::Result<()> {
        let frames = &group.frames[..];
        if frames.is_empty() {
            return Ok(());
        }
        if self.end.length > 0 && self.end.length + frames.len() as u64 > self.disk.segment_bytes {
            self.segment = None;
            self.end.first_sequence = self.end.next_sequence;
            self.end.length = 0;
        }
        let begun = Instant::now();
        let result = self.write(frames);
        match result {
            Ok(()) => {
                self.metrics.sync.observe(begun.elapsed().as_secs_f64());
                self.metrics.events.inc_by(group.next_sequence - self.end.next_sequence);
                self.end.length += frames.len() as u64;
                self.end.next_sequence = group.next_sequence;
                self.durable.send_replace(group.next_sequence);
            }
            Err(_) => {
                self.metrics.failures.inc();
                self.give_up_segment();
            }
        }
        result
    }

    fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let path = segment_path(&self.dir, self.end.first_sequence);
                let mut segment = (self.disk.open)(&path)?;
                segment.cut(self.end.length)?;
                none.insert(segment)
            }
        };
        segment.append(frames)?;
        segment.sync()
    }

    /// Takes back what a failed commit left, at once if the disk lets us, so that a full disk is not kept full
    /// by it; else [`Writer::write`] does before the next commit.
    fn give_up_segment(&mut self) {
        if let Some(mut segment) = self.segment.take()
            && let Err(error) = segment.cut(self.end.length)
        {
            tracing::warn!(%error, "the journal could not take back a failed write yet");
        }
    }
}

impl Group {
    /// Adds a batch, or answers it at once when it cannot be stored.
    fn add(&mut self, append: Append) {
        let Append { writer, events, answer } = append;
        match self.stamp(&writer, &events) {
            Ok(()) => {
                let appended = Appended { count: events.len(), last_sequence: self.next_sequence - 1 };
                self.waiting.push((answer, appended));
            }
            Err(index) => {
                let _ = answer.send(Err(AppendError::TooLong { index }));
            }
        }
    }

    /// Adds the records of a batch, all or none, and fails with the index of the event that is too long.
    fn stamp(&mut self, writer: &Peer, events: &[Checked]) -> Result<(), usize> {
        let start = self.frames.len();
        let time = Timestamp::now().as_millisecond();
        let writer = serde_json::to_string(writer).unwrap_or_default();
        let mut payload = String::new();
        for (sequence, (index, event)) in (self.next_sequence..).zip(events.iter().enumerate()) {
            payload.clear();
            Record::write(&mut payload, &writer, time, sequence, event.as_line());
            if !frame::push(&mut self.frames, payload.as_bytes()) {
                self.frames.truncate(start);
                return Err(index);
            }
        }
        self.next_sequence += events.len() as u64;
        Ok(())
    }
}

fn append_error(error: &io::Error) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::Full,
        // `io::Error` is no `Clone`, and each of the group gets one.
        kind => AppendError::Disk(Arc::new(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(kind, error.to_string()),
        })),
    }
}
