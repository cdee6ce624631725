//! `gateway`: what the gateway costs. Its token answer and its proxied GET against a bare server that answers the same
//! bytes with the same TLS, against itself without recording, and against calling the upstream directly.
//!
//! What is measured has core 0 for itself: the others that belong there are frozen meanwhile. Everything else has core 1.
//! Reference and subject take turns, and the figures are medians over the rounds.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use end_to_end::{Answer, House, Plan, eventually};

use super::{
    Report, amazon,
    bare::{Bare, Beyond, Canned, Served},
    index,
    load::{How, Load, Measured, median},
    process,
    wire::Server,
};

const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(2);
/// Connections where cost and latency are measured, and where throughput is.
const FEW: usize = 64;
const MANY: usize = 256;
/// How long latency is measured at half load, which is more than a throughput needs.
const AT_HALF_LOAD: Duration = Duration::from_secs(4);
const TOKEN: &str = "/auth/o2/token";
const RECORDING: usize = 0;
const NOT_RECORDING: usize = 1;

pub(crate) fn measure() -> anyhow::Result<Report> {
    let mut report = Report::new("gateway")?;
    process::move_to_core(1)?;
    let plan = super::plan()?;
    let openteam = plan.openteam.as_ref().context("no binary")?.display().to_string();
    let here = process::own_path()?.display().to_string();
    let gateway = |program: &str, role: &str| [process::on_core(0), vec![program.to_owned(), role.to_owned()]].concat();
    // The second is the same gateway in this program, where its recorder client does nothing.
    let gateways = vec![gateway(&openteam, "gateway"), gateway(&here, "bench-gateway")];
    let house = super::house(Plan { gateways, ..plan });
    let amazon = amazon::start(&house)?;
    let tenant = house.tenant_at("bench", amazon.endpoints.clone());
    let refresh_token = format!("{0}/{1}~{2}", tenant.name, tenant.connection, tenant.agent_token());
    let mut bench = Bench { house: &house, rounds: BTreeMap::new() };

    let recording = house.gateway(RECORDING);
    let token_answer = recording.exchange(&refresh_token);
    let access_token = token_answer.json()["access_token"].as_str().context("no access token")?.to_owned();
    let orders_answer = recording.call(&access_token).get(amazon::ORDERS);
    orders_answer.is_served();
    let canned = vec![canned(TOKEN, &token_answer)?, canned(amazon::ORDERS, &orders_answer)?];
    let bare = Bare::start(0, &Served { canned, ..Served::default() })?;
    let url = format!("https://{}:{}", amazon.upstream.server.host, amazon.upstream.server.port);
    let beyond = Some(Beyond { url, ca: amazon.upstream.server.ca.clone() });
    let passing = Bare::start(0, &Served { beyond, ..Served::default() })?;
    process::give_way(&cluster::cache_dir()?)?;

    let form = format!(
        "grant_type=refresh_token&refresh_token={}&client_id=bench&client_secret=none",
        refresh_token.replace('/', "%2F")
    );
    let token = Call { route: "token", request: Box::new(move |server| server.post_form(TOKEN, &form)) };
    let orders = {
        let access_token = access_token.clone();
        Call { route: "proxied", request: Box::new(move |server| server.get(amazon::ORDERS, &access_token)) }
    };
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for call in [&token, &orders] {
            bench.round(call, &bare, (call.route == "proxied").then_some((&amazon.upstream, &passing)))?;
        }
    }
    bench.tell(&mut report);
    bench.half_load(&mut report, &orders, &amazon.upstream)?;
    bench.document(&mut report, &access_token)?;
    drop((bare, passing));
    bench.wake(RECORDING);
    index::measure(&house, &tenant, "openteam-gateway-0", &mut report)?;
    Ok(report)
}

/// A call whose cost is measured.
struct Call {
    route: &'static str,
    request: Box<dyn Fn(&Server) -> String>,
}

struct Bench<'h> {
    house: &'h House,
    /// What each round found, by figure.
    rounds: BTreeMap<&'static str, Vec<f64>>,
}

impl Bench<'_> {
    /// Lets one of the gateways run, and freezes the other.
    fn wake(&self, number: usize) {
        let pod = |number: usize| format!("openteam-gateway-{number}");
        self.house.freeze(&pod(RECORDING + NOT_RECORDING - number));
        self.house.thaw(&pod(number));
        let gateway = self.house.gateway(number);
        // Its view has grown old while it was frozen: it serves nobody until the watches have caught up.
        eventually("a gateway serves again", || {
            (gateway.anonymous().get("/openteam/v1/connections").code() != "ViewNotCurrent").then_some(())
        });
    }

    fn sleep_both(&self) {
        for number in [RECORDING, NOT_RECORDING] {
            self.house.freeze(&format!("openteam-gateway-{number}"));
        }
    }

    fn gateway(&self, number: usize) -> anyhow::Result<(Server, Option<u32>)> {
        let pid = self.house.pid(&format!("openteam-gateway-{number}"));
        Ok((super::server(&self.house.gateway(number)), Some(pid.context("a gateway is gone")?)))
    }

    fn note(&mut self, figure: &'static str, value: f64) {
        self.rounds.entry(figure).or_default().push(value);
    }

    /// With `beyond`, the upstream and a bare server that passes calls on to it, those are measured too.
    fn round(&mut self, call: &Call, bare: &Bare, beyond: Option<(&Bare, &Bare)>) -> anyhow::Result<()> {
        let names = Names::of(call.route);
        self.sleep_both();
        let reference = (bare.server.clone(), Some(bare.pid()));
        let bare_few = closed(call, &reference, FEW)?;
        let bare_many = closed(call, &reference, MANY)?;
        let passing = beyond.map(|(_, passing)| closed(call, &(passing.server.clone(), Some(passing.pid())), FEW));
        let direct = beyond.map(|(upstream, _)| closed(call, &(upstream.server.clone(), Some(upstream.pid())), MANY));
        self.wake(RECORDING);
        let subject = self.gateway(RECORDING)?;
        let few = closed(call, &subject, FEW)?;
        let many = closed(call, &subject, MANY)?;
        self.wake(NOT_RECORDING);
        let unrecorded = closed(call, &self.gateway(NOT_RECORDING)?, MANY)?;

        self.note(names.bare_us, bare_few.cpu_us());
        self.note(names.us, few.cpu_us());
        self.note(names.cpu, few.cpu_us() / bare_few.cpu_us());
        self.note(names.throughput, many.per_second() / bare_many.per_second());
        self.note(names.recording, many.per_second() / unrecorded.per_second());
        self.note(names.per_second, many.per_second());
        self.note(names.load_cpu, many.own_cpu_seconds / many.seconds);
        eprintln!(
            "  {}: {:.0} µs of CPU, bare {:.0}; {:.0} a second, bare {:.0}, unrecorded {:.0}",
            call.route,
            few.cpu_us(),
            bare_few.cpu_us(),
            many.per_second(),
            bare_many.per_second(),
            unrecorded.per_second()
        );
        if let Some(passing) = passing.transpose()? {
            self.note("proxied_cpu_us_bare_proxy", passing.cpu_us());
            self.note("proxied_cpu_to_bare_proxy", few.cpu_us() / passing.cpu_us());
        }
        if let Some(direct) = direct {
            self.note("proxied_throughput_to_direct", many.per_second() / direct?.per_second());
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report) {
        for (figure, values) in &self.rounds {
            let value = median(values.clone());
            match *figure {
                "token_cpu_to_bare" | "proxied_cpu_to_bare" => report.at_most(figure, value, 3.0),
                "token_throughput_to_bare" | "proxied_throughput_to_bare" => report.at_least(figure, value, 0.3),
                "token_throughput_to_unrecorded" | "proxied_throughput_to_unrecorded" => {
                    report.at_least(figure, value, 0.85);
                }
                "proxied_throughput_to_direct" => report.at_least(figure, value, 0.35),
                _ => report.figure(figure, value),
            }
        }
    }

    /// The 99th percentile at half of what the gateway can do, against that of the upstream itself.
    fn half_load(&mut self, report: &mut Report, call: &Call, upstream: &Bare) -> anyhow::Result<()> {
        let per_second = median(self.rounds["proxied_per_second"].clone()) / 2.0;
        let how = How::Paced { per_second, warm_up: WARM_UP, measured: AT_HALF_LOAD };
        let (mut direct, mut proxied) = (Vec::new(), Vec::new());
        self.wake(RECORDING);
        for _ in 0..ROUNDS {
            direct.push(run(call, &(upstream.server.clone(), None), FEW, how)?.p99_ms);
            let through = run(call, &self.gateway(RECORDING)?, FEW, how)?;
            eprintln!(
                "  half load: p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
                through.p50_ms, through.p99_ms, through.max_ms
            );
            proxied.push(through.p99_ms);
        }
        // What is left of it without a disk to wait for.
        self.wake(NOT_RECORDING);
        let unrecorded = (0..ROUNDS).map(|_| Ok(run(call, &self.gateway(NOT_RECORDING)?, FEW, how)?.p99_ms));
        let unrecorded = unrecorded.collect::<anyhow::Result<_>>()?;
        let overhead = proxied.iter().zip(&direct).map(|(proxied, direct)| proxied - direct).collect();
        report.figure("half_load_per_second", per_second);
        report.figure("half_load_p99_ms", median(proxied));
        report.figure("half_load_p99_ms_direct", median(direct));
        report.figure("half_load_p99_ms_unrecorded", median(unrecorded));
        report.at_most("half_load_p99_overhead_ms", median(overhead), 2.0);
        Ok(())
    }

    /// How much a long answer that passes through makes the gateway grow.
    fn document(&mut self, report: &mut Report, token: &str) -> anyhow::Result<()> {
        self.wake(RECORDING);
        let (server, pid) = self.gateway(RECORDING)?;
        let pid = pid.context("a gateway is gone")?;
        process::forget_peak(pid)?;
        let before = process::resident_mib(pid)?;
        let request = server.get(amazon::DOCUMENT, token);
        let measured = Load { server, requests: vec![request], connections: 1, how: How::Once, pid: None }.run()?;
        report.figure("document_mib_per_second", amazon::DOCUMENT_BYTES as f64 / 1048576.0 / measured.seconds);
        report.at_most("document_rss_growth_mib", process::peak_mib(pid)? - before, 8.0);
        Ok(())
    }
}

/// The names of a route's figures.
struct Names {
    bare_us: &'static str,
    us: &'static str,
    cpu: &'static str,
    throughput: &'static str,
    recording: &'static str,
    per_second: &'static str,
    load_cpu: &'static str,
}

impl Names {
    fn of(route: &str) -> Self {
        if route == "token" {
            Self {
                bare_us: "token_cpu_us_bare",
                us: "token_cpu_us",
                cpu: "token_cpu_to_bare",
                throughput: "token_throughput_to_bare",
                recording: "token_throughput_to_unrecorded",
                per_second: "token_per_second",
                load_cpu: "token_load_generator_cores",
            }
        } else {
            Self {
                bare_us: "proxied_cpu_us_bare",
                us: "proxied_cpu_us",
                cpu: "proxied_cpu_to_bare",
                throughput: "proxied_throughput_to_bare",
                recording: "proxied_throughput_to_unrecorded",
                per_second: "proxied_per_second",
                load_cpu: "proxied_load_generator_cores",
            }
        }
    }
}

fn closed(call: &Call, server: &(Server, Option<u32>), connections: usize) -> anyhow::Result<Measured> {
    run(call, server, connections, How::Closed { warm_up: WARM_UP, measured: MEASURED })
}

fn run(call: &Call, server: &(Server, Option<u32>), connections: usize, how: How) -> anyhow::Result<Measured> {
    let (server, pid) = server.clone();
    let requests = vec![(call.request)(&server)];
    let measured = Load { server, requests, connections, how, pid }.run()?;
    if measured.failed() > 0 {
        bail!("{} calls of {} were not served: {:?}", measured.failed(), call.route, measured.failed);
    }
    Ok(measured)
}

/// An answer of the gateway's, for the bare server. What hyper adds by itself is left out.
fn canned(target: &str, answer: &Answer) -> anyhow::Result<Canned> {
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let own = ["content-length", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())));
    Ok(Canned { path, headers: headers.collect::<anyhow::Result<_>>()?, body: answer.text.clone() })
}
