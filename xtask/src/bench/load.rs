//! The load generator: a process of its own with one thread, which keeps its connections open and calls without pause,
//! at a given rate, or once on each.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use cluster::{spawn, tethered};
use serde::{Deserialize, Serialize};
use tokio::{sync::Barrier, task::JoinSet, time::sleep_until};

use super::{
    process,
    wire::{Connection, Server},
};

/// The longest that anything asked for here may take before it is given up.
const LIMIT: Duration = Duration::from_secs(120);

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) server: Server,
    /// The bytes of the requests, which are sent in turn, again and again.
    pub(crate) requests: Vec<String>,
    pub(crate) connections: usize,
    pub(crate) how: How,
    /// The process whose CPU time is told.
    pub(crate) pid: Option<u32>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum How {
    /// Every connection calls so often as it is answered.
    Closed { warm_up: Duration, measured: Duration },
    /// So many calls a second, all connections together.
    Paced { per_second: f64, warm_up: Duration, measured: Duration },
    /// Every connection calls once, all at once.
    Once,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Answers with status 200.
    pub(crate) answered: u64,
    /// Other answers by status; 0 where there was none.
    pub(crate) failed: BTreeMap<u16, u64>,
    pub(crate) seconds: f64,
    /// Of the process asked about.
    pub(crate) cpu_seconds: f64,
    /// Of the load generator.
    pub(crate) own_cpu_seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Measured {
    pub(crate) fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// Microseconds of CPU per answer in the process asked about.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.answered as f64
    }
}

impl Load {
    /// Runs the load generator on core 1, waits for its end, and demands that something was answered with 200.
    pub(crate) fn run(&self) -> anyhow::Result<Measured> {
        let measured = self.run_for_any_answer()?;
        if measured.answered == 0 {
            bail!("nothing was answered: {:?}", measured.failed);
        }
        Ok(measured)
    }

    /// The same; whatever is answered.
    pub(crate) fn run_for_any_answer(&self) -> anyhow::Result<Measured> {
        let mut words = process::on_core(1);
        words.extend([process::own_path()?.display().to_string(), "bench-load".to_owned()]);
        let mut command = tethered(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        child.stdin.take().context("no standard input")?.write_all(&serde_json::to_vec(self)?)?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("the load generator failed ({})", output.status);
        }
        serde_json::from_slice(&output.stdout).context("the load generator said nonsense")
    }
}

/// The load generator itself: [`Load`] on standard input, [`Measured`] on standard output.
pub(crate) fn generate() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let load: Load = serde_json::from_str(&text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(async { tokio::time::timeout(LIMIT, all(load)).await })??;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// When a connection calls.
#[derive(Clone, Copy)]
struct Times {
    measure_from: Instant,
    end: Instant,
    /// The time of a connection's first call, and between two of them.
    pace: Option<(Instant, Duration)>,
    once: bool,
}

/// A call: when it began, how long it took, how it was answered.
type Called = (Instant, Duration, u16);

async fn all(load: Load) -> anyhow::Result<Measured> {
    let (load, tls) = (Arc::new(load), load_tls()?);
    let tls = tls(&load)?;
    // So many at a time as a listener's backlog takes easily.
    let mut open = Vec::new();
    for number in 0..load.connections {
        open.push(Connection::open(&load.server, &tls, number).await?);
    }
    let begin = Instant::now();
    let (warm_up, measured) = match load.how {
        How::Closed { warm_up, measured } | How::Paced { warm_up, measured, .. } => (warm_up, measured),
        How::Once => (Duration::ZERO, LIMIT),
    };
    let (measure_from, end) = (begin + warm_up, begin + warm_up + measured);
    let all_ready = Arc::new(Barrier::new(open.len()));
    let mut calling = JoinSet::new();
    for (number, connection) in open.into_iter().enumerate() {
        let pace = match load.how {
            How::Paced { per_second, .. } => {
                let between = Duration::from_secs_f64(load.connections as f64 / per_second);
                Some((begin + between.mul_f64(number as f64 / load.connections as f64), between))
            }
            _ => None,
        };
        let times = Times { measure_from, end, pace, once: matches!(load.how, How::Once) };
        let (load, tls, all_ready) = (load.clone(), tls.clone(), all_ready.clone());
        calling.spawn(async move {
            all_ready.wait().await;
            one(&load, &tls, connection, number, times).await
        });
    }
    let cpu = || -> anyhow::Result<(f64, f64)> {
        Ok((load.pid.map_or(Ok(0.0), process::cpu_seconds)?, process::cpu_seconds(std::process::id())?))
    };
    sleep_until(measure_from.into()).await;
    let before = cpu()?;
    let mut calls = Vec::new();
    if !matches!(load.how, How::Once) {
        sleep_until(end.into()).await;
    }
    let mut after = cpu()?;
    while let Some(one) = calling.join_next().await {
        calls.extend(one??);
    }
    let mut seconds = measured.as_secs_f64();
    if matches!(load.how, How::Once) {
        (after, seconds) = (cpu()?, begin.elapsed().as_secs_f64());
    }
    Ok(summary(&calls, seconds, before, after))
}

fn load_tls() -> anyhow::Result<impl Fn(&Load) -> anyhow::Result<Arc<rustls::ClientConfig>>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(|load: &Load| load.server.tls())
}

async fn one(
    load: &Load,
    tls: &Arc<rustls::ClientConfig>,
    mut connection: Connection,
    number: usize,
    times: Times,
) -> anyhow::Result<Vec<Called>> {
    // Not all connections begin with the same.
    let mut requests = load.requests.iter().cycle().skip(number * load.requests.len() / load.connections);
    let mut calls = Vec::new();
    let mut due = times.pace.map(|(first, _)| first);
    loop {
        // What is late already counts from when it was due: a server that stalls must not be spared the calls it delays.
        let mut begun = Instant::now();
        if let (Some(at), Some((_, between))) = (due.as_mut(), times.pace) {
            if *at > begun {
                sleep_until((*at).into()).await;
                begun = Instant::now();
            } else {
                begun = *at;
            }
            *at += between;
        }
        if Instant::now() >= times.end {
            return Ok(calls);
        }
        let request = requests.next().context("there is nothing to send")?;
        let status = match connection.call(request.as_bytes()).await {
            Ok(status) => status,
            Err(_) => {
                connection = Connection::open(&load.server, tls, number).await?;
                0
            }
        };
        let ended = Instant::now();
        // Answers are counted that came within the time, whenever they were asked for.
        if ended >= times.measure_from && ended < times.end {
            calls.push((begun, ended - begun, status));
        }
        if times.once {
            return Ok(calls);
        }
    }
}

fn summary(calls: &[Called], seconds: f64, before: (f64, f64), after: (f64, f64)) -> Measured {
    let mut measured = Measured {
        seconds,
        cpu_seconds: after.0 - before.0,
        own_cpu_seconds: after.1 - before.1,
        ..Measured::default()
    };
    let mut took: Vec<Duration> = Vec::with_capacity(calls.len());
    for (_, duration, status) in calls {
        took.push(*duration);
        if *status == 200 {
            measured.answered += 1;
        } else {
            *measured.failed.entry(*status).or_default() += 1;
        }
    }
    took.sort_unstable();
    measured.p50_ms = quantile(&took, 0.5);
    measured.p99_ms = quantile(&took, 0.99);
    measured.max_ms = quantile(&took, 1.0);
    measured
}

/// A quantile of sorted durations in milliseconds: the smallest that so large a part of them does not exceed.
pub(crate) fn quantile(sorted: &[Duration], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(at.saturating_sub(1)).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_figures() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile(&sorted, 0.5), 50.0);
        assert_eq!(quantile(&sorted, 0.99), 99.0);
        assert_eq!(quantile(&sorted, 1.0), 100.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn a_median_does_not_care_about_one_that_is_far_off() {
        assert_eq!(median(vec![1.0, 900.0, 2.0]), 2.0);
        assert_eq!(median(vec![1.0, 3.0]), 2.0);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn only_answers_with_200_count_as_answered() {
        let now = Instant::now();
        let calls = [200, 200, 503, 0].map(|status| (now, Duration::from_millis(1), status));
        let measured = summary(&calls, 1.0, (0.0, 0.0), (1.0, 0.0));
        assert_eq!((measured.answered, measured.failed()), (2, 2));
        assert_eq!(measured.cpu_us(), 500_000.0);
    }
}
