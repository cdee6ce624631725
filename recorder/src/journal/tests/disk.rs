//! Disks that are slow, full and failing.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc as std_mpsc,
    },
};

use super::{super::disk::Segment, *};

/// A disk that does as it is told, and says what it was asked.
#[derive(Default)]
struct Switches {
    /// Append half, then fail.
    fail_append: AtomicBool,
    fail_sync: AtomicBool,
    fail_cut: AtomicBool,
    fail_open: AtomicBool,
    opened: AtomicUsize,
    /// While held, syncing waits.
    sync: Mutex<()>,
    synced: AtomicUsize,
    appends: AtomicUsize,
}

struct Switched {
    file: Box<dyn Segment>,
    switches: Arc<Switches>,
}

fn fail(switch: &AtomicBool, kind: io::ErrorKind) -> io::Result<()> {
    if switch.load(SeqCst) { Err(kind.into()) } else { Ok(()) }
}

impl Segment for Switched {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.switches.appends.fetch_add(1, SeqCst);
        if self.switches.fail_append.load(SeqCst) {
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let _held = self.switches.sync.lock();
        fail(&self.switches.fail_sync, io::ErrorKind::Other)?;
        self.switches.synced.fetch_add(1, SeqCst);
        self.file.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        fail(&self.switches.fail_cut, io::ErrorKind::Other)?;
        self.file.cut(length)
    }
}

fn switched(dir: &TempDir) -> (Journal, Arc<Switches>) {
    switched_as(dir, Switches::default())
}

fn switched_as(dir: &TempDir, switches: Switches) -> (Journal, Arc<Switches>) {
    let switches = Arc::new(switches);
    let (shared, mut real) = (switches.clone(), Disk::default());
    let open = Box::new(move |path: &Path| {
        shared.opened.fetch_add(1, SeqCst);
        fail(&shared.fail_open, io::ErrorKind::StorageFull)?;
        let switched = Switched { file: (real.open)(path)?, switches: shared.clone() };
        Ok(Box::new(switched) as Box<dyn Segment>)
    });
    let disk = Disk { open, ..Disk::default() };
    (Journal::open_on(dir.path(), origin(), disk).unwrap(), switches)
}

#[tokio::test]
async fn a_failed_disk_acknowledges_nothing_and_the_journal_goes_on_when_it_works_again() {
    type Switch = fn(&Switches) -> &AtomicBool;
    let failures: [(&str, &[Switch]); 6] = [
        ("append", &[|s| &s.fail_append]),
        ("sync", &[|s| &s.fail_sync]),
        ("append and cut", &[|s| &s.fail_append, |s| &s.fail_cut]),
        ("sync and cut", &[|s| &s.fail_sync, |s| &s.fail_cut]),
        ("sync and open", &[|s| &s.fail_sync, |s| &s.fail_open]),
        ("all", &[|s| &s.fail_append, |s| &s.fail_sync, |s| &s.fail_cut, |s| &s.fail_open]),
    ];
    for (what, failing) in failures {
        let dir = TempDir::new().unwrap();
        let (journal, switches) = switched(&dir);
        journal.append(gateway(), events(2)).await.unwrap();
        let good = uids(dir.path());

        failing.iter().for_each(|switch| switch(&switches).store(true, SeqCst));
        for _ in 0..3 {
            let error = journal.append(gateway(), events(2)).await.unwrap_err();
            assert!(matches!(error, AppendError::Full | AppendError::Disk(_)), "{what}: {error}");
        }
        failing.iter().for_each(|switch| switch(&switches).store(false, SeqCst));

        let appended = journal.append(gateway(), events(1)).await.unwrap();
        assert_eq!(appended, Appended { count: 1, last_sequence: 3 }, "{what}");
        assert!(switches.opened.load(SeqCst) > 1, "{what}: the file was opened anew");
        drop(journal);
        let uids = uids(dir.path());
        assert_eq!(uids[..2], good);
        assert_eq!(uids.len(), 3, "{what}: nothing of the failed writes is left");
        assert_eq!(*open(&dir).recovery(), Recovery::default());
    }
}

#[tokio::test]
async fn what_was_found_wrong_is_recorded_once_the_disk_takes_it() {
    let dir = TempDir::new().unwrap();
    written(&dir, &[1]).await;
    let path = segment_path(dir.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&bytes[..], &bytes[..20]].concat()).unwrap();

    let broken = Switches { fail_open: AtomicBool::new(true), ..Switches::default() };
    let (journal, switches) = switched_as(&dir, broken);
    assert!(matches!(journal.append(gateway(), events(1)).await, Err(AppendError::Full)));
    switches.fail_open.store(false, SeqCst);
    assert_eq!(journal.append(gateway(), events(1)).await.unwrap().last_sequence, 3);
    let Item::Record(report) = items(dir.path()).unwrap().nth(1).unwrap().unwrap() else { panic!("no report") };
    assert_eq!(report.event["status_detail"], "JournalCut");
}

#[tokio::test]
async fn a_segment_that_lost_what_was_stored_is_not_filled_up_with_zeroes() {
    let dir = TempDir::new().unwrap();
    let (journal, switches) = switched(&dir);
    journal.append(gateway(), events(2)).await.unwrap();
    let path = segment_path(dir.path(), 1);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    switches.fail_sync.store(true, SeqCst);
    assert!(journal.append(gateway(), events(1)).await.is_err());
    switches.fail_sync.store(false, SeqCst);
    // Its length is past what was stored only because a write came after the loss.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert!(matches!(journal.append(gateway(), events(1)).await, Err(AppendError::Disk(_))));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 10);
}

async fn until(done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "what was waited for did not happen");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_acknowledged_only_once_it_is_synced_and_waiting_batches_share_a_sync() {
    let dir = TempDir::new().unwrap();
    let (journal, switches) = switched(&dir);
    // A thread of its own holds the disk, as a lock must not be held while waiting here.
    let (release, held) = std_mpsc::channel::<()>();
    let (holding, is_held) = std_mpsc::channel();
    let holder = {
        let switches = switches.clone();
        std::thread::spawn(move || {
            let _held = switches.sync.lock().unwrap();
            holding.send(()).unwrap();
            held.recv().unwrap();
        })
    };
    is_held.recv().unwrap();

    let append = || {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(gateway(), events(3)).await })
    };
    // The first is written and waits for its sync before the others come to wait behind it.
    let mut appends = vec![append()];
    until(|| switches.appends.load(SeqCst) == 1).await;
    appends.extend((1..100).map(|_| append()));
    until(|| journal.queued() == 99).await;
    assert!(appends.iter().all(|append| !append.is_finished()), "acknowledged without a sync");
    assert_eq!(switches.synced.load(SeqCst), 0);

    release.send(()).unwrap();
    let mut last = HashSet::new();
    for append in appends {
        let appended = append.await.unwrap().unwrap();
        assert_eq!(appended.count, 3);
        assert!(last.insert(appended.last_sequence));
    }
    holder.join().unwrap();
    assert_eq!(last, (1..=100).map(|batch| 3 * batch).collect());
    assert_eq!(switches.synced.load(SeqCst), 2);
    assert_eq!(uids(dir.path()).len(), 300);
}

/// A file system of 256 KiB, if this user may mount one.
struct Tiny(TempDir);

impl Tiny {
    fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(dir.path())
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_journal_goes_on_when_there_is_space() {
    let Some(tiny) = Tiny::mount() else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let dir = tiny.0.path();
    std::fs::write(dir.join("filler"), vec![0; 128 * 1024]).unwrap();
    let journal = Journal::open(dir, origin()).unwrap();
    let mut stored = 0;
    let error = loop {
        match journal.append(gateway(), events(10)).await {
            Ok(appended) => stored = appended.last_sequence,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full), "{error}");
    assert!(stored > 10);
    assert_eq!(uids(dir).len() as u64, stored, "nothing of the failed batch is left");
    assert!(matches!(journal.append(gateway(), events(200)).await, Err(AppendError::Full)));

    std::fs::remove_file(dir.join("filler")).unwrap();
    let appended = journal.append(gateway(), events(10)).await.unwrap();
    assert_eq!(appended.last_sequence, stored + 10);
    assert_eq!(uids(dir).len() as u64, stored + 10);
    // What Prometheus is told.
    let told = journal.metrics();
    assert_eq!(told.events.get(), stored + 10);
    assert_eq!(told.failures.get(), 2);
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register("sync", "", told.sync.clone());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains(&format!("sync_count {}", (stored + 10) / 10)), "{text}");
    drop(journal);
}
