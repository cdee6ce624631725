//! `audit`: how many events a recorder acknowledges a second, against what its disk can sync; what that costs; how large a year
//! is; and how fast a log is verified, against tessera's fsck on the same one.

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use audit::{Checked, Name, ObjectName, Origin, Peer, Role, log::Options};
use recorder::{
    Journal, Keeper, Outside, Place,
    export::export,
    query::{Format, Query},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Report;
use crate::shell;

/// How long each figure is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// Leaves of the log that is verified.
const LEAVES: u64 = 400_000;
/// Events that are looked through, and the connections they are of.
const EVENTS: u64 = 10_000_000;
const CONNECTIONS: u64 = 1_000;
/// When the first was stored, in milliseconds since 1970.
const BEGAN: i64 = 1_780_000_000_000;
/// A year at one event a second.
const YEAR: f64 = 365.0 * 86_400.0;
/// Two events of one call, as a gateway writes them.
const GOLDEN: &str = include_str!("../../../audit/src/event/golden.json");
const PAIR: [&str; 2] = ["call intended", "call answered"];

pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("audit")?;
    let runtime = tokio::runtime::Runtime::new()?;
    // On the disk that builds are on: what is temporary may be memory.
    let place = shell::root().join("target").join(format!("bench-audit-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let measured = runtime.block_on(all(&mut report, &place));
    std::fs::remove_dir_all(&place)?;
    measured.map(|()| report)
}

async fn all(report: &mut Report, place: &Path) -> anyhow::Result<()> {
    for (writers, rate, ratio) in [
        (1, "events_per_second_at_1_writer", Some("ratio_to_fdatasync_at_1_writer")),
        (16, "events_per_second_at_16_writers", None),
        (256, "events_per_second_at_256_writers", None),
    ] {
        eprintln!("{writers} writers");
        // Before and after, since others use the disk too.
        let before = syncs(place)?;
        let found = append(&place.join(format!("writers-{writers}")), writers).await?;
        let disk = (before + syncs(place)?) / 2.0;
        match (ratio, writers) {
            (Some(ratio), _) => {
                report.figure("fdatasyncs_per_second", disk);
                report.figure(rate, found.rate);
                report.at_least(ratio, found.rate / disk, 0.8);
            }
            (None, 256) => {
                report.at_least(rate, found.rate, 50_000.0);
                report.at_most("p99_ms_at_256_writers", found.p99_ms, 15.0);
                report.at_most("cpu_us_per_event_at_256_writers", found.cpu_us, 10.0);
            }
            (None, _) => report.figure(rate, found.rate),
        }
    }
    log(report, place).await?;
    query(report, place).await
}

/// How often this disk can sync an event's worth of bytes, a second.
fn syncs(place: &Path) -> anyhow::Result<f64> {
    let path = place.join("reference");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let event = event_lines()?.concat();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < MEASURE / 2 {
        file.write_all(&event.as_bytes()[..event.len() / 2])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

struct Appended {
    rate: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// Writers that each wait for one event after the other, with logs made of it beside.
async fn append(dir: &Path, writers: usize) -> anyhow::Result<Appended> {
    let (journal, ended, keeping) = open(dir).await?;
    let event = events()?.remove(0);
    let cpu = cpu_seconds()?;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (journal, event) = (journal.clone(), event.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while begun.elapsed() < MEASURE {
                    let asked = Instant::now();
                    journal.append(gateway()?, vec![event.clone()]).await?;
                    times.push(asked.elapsed().as_secs_f64() * 1000.0);
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let (elapsed, count) = (begun.elapsed().as_secs_f64(), times.len() as f64);
    // With what its log costs, to the last leaf.
    ended.cancel();
    keeping.await?;
    let cpu = cpu_seconds()? - cpu;
    times.sort_by(f64::total_cmp);
    let p99_ms = times.get(times.len() * 99 / 100).copied().context("nothing was acknowledged")?;
    Ok(Appended { rate: count / elapsed, p99_ms, cpu_us: cpu * 1e6 / count })
}

/// A log of many leaves: what it takes on disk, and how fast it is verified.
async fn log(report: &mut Report, place: &Path) -> anyhow::Result<()> {
    eprintln!("a log of {LEAVES} leaves");
    let dir = place.join("log");
    let (journal, ended, keeping) = open(&dir).await?;
    let pair = event_values()?;
    for batch in 0..LEAVES / 200 {
        // Each with ids of its own, or they would compress far better than real ones.
        let calls: Vec<_> = (0..100).map(|call| renewed(&pair, batch * 100 + call)).collect::<anyhow::Result<_>>()?;
        journal.append(gateway()?, calls.concat()).await?;
    }
    ended.cancel();
    keeping.await?;
    drop(journal);
    let kept = bytes_below(&dir.join("log"))? as f64 / LEAVES as f64;
    report.figure("bytes_per_event_on_disk", kept);
    report.at_most("gigabytes_of_a_year_at_1_event_per_second", kept * YEAR / 1e9, 8.0);

    let exported = export(&Place::open(&dir)?, &place.join("plain"), &[], &mut |_, _, _| {})?;
    let plain = exported.into_iter().next().context("no log was made")?.at;
    let key = std::fs::read_to_string(plain.join("vkey"))?;
    let store = audit::log::Directory(plain.clone());
    let fsck = cluster::binaries::tlog_tools()?.fsck;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    // The best of some: everything else is the machine's.
    for _ in 0..3 {
        let begun = Instant::now();
        let verified = audit::log::verify(&store, &key.parse()?, &Options::default(), &mut |_, _| {}, &mut |_, _| {});
        let verified = verified.map_err(|flaws| anyhow::anyhow!("the log is flawed: {flaws}"))?;
        ours = ours.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let said = Command::new(&fsck)
            .arg(format!("--storage_url=file://{}/", plain.display()))
            .arg(format!("--public_key={}", plain.join("vkey").display()))
            .args(["--ui=false", "-N", "2"])
            .output()?;
        theirs = theirs.min(begun.elapsed().as_secs_f64());
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        ensure!(said.contains(&format!("Successfully fsck'd log with size {}", verified.size)), "{said}");
    }
    report.figure("verified_leaves_per_second", LEAVES as f64 / ours);
    report.at_least("verify_speed_against_fsck", theirs / ours, 1.0);
    Ok(())
}

/// One connection's day among ten million events, one a second, of a thousand connections; the file system's cache is emptied
/// before, where one may.
async fn query(report: &mut Report, place: &Path) -> anyhow::Result<()> {
    eprintln!("a record of {EVENTS} events");
    let dir = place.join("query");
    std::fs::create_dir_all(&dir)?;
    // As a recorder would have written them over these months: its clock cannot be asked to.
    let line = event_lines()?.remove(1);
    let (mut segment, mut first, mut opened) = (Vec::new(), 1, 0);
    for number in 1..=EVENTS {
        let sequence = number + opened;
        let name = format!("\"seller-{:03}\"", number % CONNECTIONS);
        let event = line
            .replace("\"acme-na\"", &name)
            .replace("01950000-0000-7000-8000-000000000000", &format!("01950000-0000-7000-8000-{sequence:012x}"))
            .replace("01950000-0000-7000-8000-000000000009", &format!("01950000-0000-7000-9000-{:012x}", sequence / 2));
        let time = BEGAN + i64::try_from(number)? * 1000;
        let payload = format!(
            r#"{{"writer":{{"role":"gateway","pod":"openteam-gateway-0"}},"time":{time},"sequence":{sequence},"event":{event}}}"#
        );
        segment.extend_from_slice(&u32::try_from(payload.len())?.to_be_bytes());
        segment.extend_from_slice(&crc32fast::hash(payload.as_bytes()).to_be_bytes());
        segment.extend_from_slice(payload.as_bytes());
        if segment.len() > 64 * 1024 * 1024 || number == EVENTS {
            std::fs::write(dir.join(format!("journal-{first:020}.otj")), &segment)?;
            segment.clear();
            // The first time it records that it opened its log.
            opened = 1;
            first = sequence + 1 + u64::from(first == 1);
            // What is in bundles is deleted from the journal, so that the disk needs not hold all of it twice.
            let (journal, ended, keeping) = open(&dir).await?;
            ended.cancel();
            keeping.await?;
            drop(journal);
        }
    }
    rustix::fs::sync();
    let emptied = std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
    let day = BEGAN + 40 * 86_400_000;
    let query = Query {
        connection: Some(ObjectName::parse("acme", "seller-007")?),
        since: Some(jiff::Timestamp::from_millisecond(day)?),
        until: Some(jiff::Timestamp::from_millisecond(day + 86_400_000)?),
        ..Query::default()
    };
    let options = recorder::query::Options { format: Format::Json, limit: None };
    let mut out = Vec::new();
    let begun = Instant::now();
    let answered = recorder::query::print(&dir, &query, options, &mut out, &mut || false)?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(answered.records.abs_diff(86_400 / CONNECTIONS) <= 1, "{} records were found", answered.records);
    report.figure("query_cache_emptied", f64::from(u8::from(emptied)));
    report.at_most("query_seconds_of_a_day_among_10_million", took, 1.0);
    Ok(())
}

async fn open(dir: &Path) -> anyhow::Result<(Journal, CancellationToken, tokio::task::JoinHandle<()>)> {
    let origin = Origin { role: Role::Recorder, pod: Name::parse("recorder-0")?, version: "0.1.0" };
    let journal = Journal::open(dir, origin)?;
    let keeper = Keeper::open(journal.clone(), Outside { cluster: "bench".to_owned(), remembered: Vec::new() }).await?;
    let ended = CancellationToken::new();
    let keeping = tokio::spawn(keeper.run(ended.clone()));
    Ok((journal, ended, keeping))
}

fn gateway() -> anyhow::Result<Peer> {
    Ok(Peer { role: Role::Gateway, pod: Name::parse("openteam-gateway-7c9f5d6b8-x2x4z")? })
}

fn event_values() -> anyhow::Result<Vec<Value>> {
    let golden: Value = serde_json::from_str(GOLDEN)?;
    PAIR.iter().map(|name| golden.get(name).cloned().with_context(|| format!("no event {name}"))).collect()
}

/// The events as JSON.
fn event_lines() -> anyhow::Result<Vec<String>> {
    Ok(event_values()?.iter().map(ToString::to_string).collect())
}

fn events() -> anyhow::Result<Vec<Checked>> {
    event_lines()?.iter().map(|line| Ok(audit::check(line.as_bytes(), Role::Gateway)?)).collect()
}

/// Both events of another call: with ids, times, a digest and a latency of its own.
fn renewed(pair: &[Value], call: u64) -> anyhow::Result<Vec<Checked>> {
    let began = BEGAN + i64::try_from(call)? * 2000;
    let mut random = [0; 34];
    getrandom::fill(&mut random)?;
    let (digest, latency) = random.split_at(32);
    let digest = format!("hmac-sha256:{}", data_encoding::HEXLOWER.encode(digest));
    let latency = u16::from_be_bytes([latency[0], latency[1]]) % 900;
    let correlation = Uuid::now_v7().to_string();
    let mut event = |(index, event): (usize, &Value)| {
        let mut event = event.clone();
        event["metadata"]["uid"] = Uuid::now_v7().to_string().into();
        event["metadata"]["correlation_uid"] = correlation.clone().into();
        event["metadata"]["sequence"] = (call * 2 + index as u64 + 1).into();
        event["time"] = (began + index as i64 * i64::from(latency)).into();
        event["resources"][1]["uid"] = digest.clone().into();
        if let Some(took) = event.pointer_mut("/http_response/latency") {
            *took = latency.into();
        }
        Ok(audit::check(event.to_string().as_bytes(), Role::Gateway)?)
    };
    pair.iter().enumerate().map(&mut event).collect()
}

fn bytes_below(dir: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // What the file system gives it, in blocks of 512 bytes.
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// This process's, user and system.
fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9)
}
