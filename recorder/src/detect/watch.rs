//! Shows a [`Detector`] the journal, and records what it finds.

use std::{io, ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};

use audit::{Activity, DetectionKind, wire::writers::Writers};
use jiff::Timestamp;
use process::{certificate::chain, checkpoints::Checkpoints, metrics::Metrics};
use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Detector, Finding, Seen};
use crate::{
    Journal,
    background::Background,
    backwards::{Budget, Ended, backwards},
    log::{Follower, Stopped},
    records::{Found, From, forward},
};

/// Between looks at the journal.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between questions which recorders there are.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// What of the record is learnt from after the start.
const BUDGET: Budget = Budget { bytes: 512 * 1024 * 1024, time: Duration::from_secs(60) };

/// How many findings there were of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detections(Family<[(&'static str, &'static str); 1], Counter>);

impl Detections {
    /// Those that recorders find are there from the beginning, so that the first is an increase.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        let elsewhere = [DetectionKind::RecorderSilent, DetectionKind::LogContradicted];
        for kind in DetectionKind::ALL.into_iter().filter(|kind| !elsewhere.contains(kind)) {
            drop(own.0.get_or_create(&[("kind", kind.name().as_str())]));
        }
        metrics.register("recorder_detections", "What was found in the record that needs a look", own.0.clone());
        own
    }

    fn count(&self, kind: DetectionKind) {
        self.0.get_or_create(&[("kind", kind.name().as_str())]).inc();
    }
}

/// The task that finds.
pub(crate) struct Watch {
    pub(crate) journal: Journal,
    pub(crate) staleness_limit: Duration,
    pub(crate) detections: Detections,
    /// Told which numbers of writers there are here, as long as other recorders have some too.
    pub(crate) writers: watch::Sender<Arc<Writers>>,
    /// Where the ConfigMap is that names the recorders.
    pub(crate) client: kube::Client,
    /// OpenTeam's own namespace.
    pub(crate) namespace: String,
}

impl Watch {
    /// Runs until `ended`.
    pub(crate) async fn run(self, ended: CancellationToken) {
        let durable = self.journal.durable();
        let background = match Background::start("detections") {
            Ok(background) => background,
            Err(error) => {
                tracing::error!(%error, "nothing is looked at for what needs a look");
                return ended.cancelled().await;
            }
        };
        let opened = self.opened(&background, *durable.borrow(), ended.clone()).await;
        let Ok(mut eye) = opened else { return ended.cancelled().await };
        let (mut looks, mut questions) = (interval(LOOK_EVERY), interval(ASK_EVERY));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_alone = false;
        loop {
            tokio::select! {
                _ = questions.tick() => is_alone = self.is_alone().await.unwrap_or(is_alone),
                _ = looks.tick() => {
                    let Ok((next, found)) = look(&background, eye, &durable, is_alone).await else {
                        tracing::error!("looking for what needs a look panicked; it ends");
                        return ended.cancelled().await;
                    };
                    eye = next;
                    let writers = if is_alone { Arc::default() } else { Arc::new(eye.writers()) };
                    self.writers.send_replace(writers);
                    for finding in found {
                        self.tell(finding).await;
                    }
                }
                () = ended.cancelled() => return,
            }
        }
    }

    async fn opened(&self, background: &Background, next: u64, ended: CancellationToken) -> io::Result<Eye> {
        let dir = self.journal.dir().to_owned();
        let staleness_limit = self.staleness_limit;
        let open = move || {
            let mut eye = Eye {
                detector: Detector::new(staleness_limit, Timestamp::now().as_millisecond()),
                follower: Follower::new(&dir, next),
                known_until: i64::MIN,
                dir,
            };
            if let Err(error) = eye.learn(next, BUDGET, &|| ended.is_cancelled()) {
                tracing::error!(%error, "the record cannot be read for what is usual");
            }
            // Gaps that were overdue then were told then.
            drop(eye.detector.tick(Timestamp::now().as_millisecond(), false));
            Ok(eye)
        };
        background.run(open).await
    }

    /// Whether no other recorder has logs, if that can be told now.
    async fn is_alone(&self) -> Option<bool> {
        match Checkpoints::read(&self.client, &self.namespace).await {
            Ok(checkpoints) => {
                let pods = checkpoints.logs.keys().filter_map(|name| name.rsplit_once('.'));
                Some(pods.into_iter().all(|(pod, _)| pod == self.journal.pod()))
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "whether there are other recorders is not known");
                None
            }
        }
    }

    async fn tell(&self, finding: Finding) {
        tracing::warn!(kind = finding.kind.name().as_str(), about = finding.key, count = finding.count, "needs a look");
        self.detections.count(finding.kind);
        let detection: Activity = finding.detection(Uuid::now_v7()).into();
        if let Err(error) = self.journal.record(detection).await {
            tracing::error!(%error, "what was found could not be recorded");
        }
    }
}

async fn look(
    background: &Background,
    mut eye: Eye,
    durable: &watch::Receiver<u64>,
    is_alone: bool,
) -> io::Result<(Eye, Vec<Finding>)> {
    let durable = *durable.borrow();
    let look = move || {
        let found = eye.look(durable, Timestamp::now().as_millisecond(), is_alone);
        Ok((eye, found))
    };
    background.run(look).await
}

/// What looks at a journal.
pub(crate) struct Eye {
    detector: Detector,
    follower: Follower,
    /// When it had looked at everything that there was, in milliseconds since 1970.
    known_until: i64,
    dir: PathBuf,
}

impl Eye {
    #[cfg(test)]
    pub(crate) fn open(dir: &std::path::Path, next: u64, now: i64) -> Self {
        let detector = Detector::new(Duration::from_secs(10), now);
        Self { detector, follower: Follower::new(dir, next), known_until: i64::MIN, dir: dir.to_owned() }
    }

    /// What was before the record with the number `next`, as long as nobody wants to end.
    pub(crate) fn learn(&mut self, next: u64, budget: Budget, is_ended: &dyn Fn() -> bool) -> io::Result<()> {
        let detector = &mut self.detector;
        let ended = backwards(&self.dir, Some(next), budget, &mut |payload| {
            if let Some(seen) = Seen::of(payload) {
                detector.learn(&seen);
            }
            if is_ended() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if ended == Ended::AtTheBeginning {
            self.detector.learnt_all();
        }
        Ok(())
    }

    /// What is found in the records below `durable` that were not looked at yet, and at this time.
    pub(crate) fn look(&mut self, durable: u64, now: i64, is_alone: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        match self.catch_up(durable, &mut found) {
            Ok(()) => self.known_until = now,
            Err(error) => {
                tracing::error!(%error, "the journal cannot be read for what needs a look; it is tried again");
            }
        }
        found.extend(self.detector.tick(now, is_alone));
        found
    }

    /// Which numbers of writers there are here.
    fn writers(&mut self) -> Writers {
        self.detector.writers(self.known_until)
    }

    fn catch_up(&mut self, durable: u64, found: &mut Vec<Finding>) -> io::Result<()> {
        let Self { detector, follower, dir, .. } = self;
        let mut see =
            |payload: &[u8]| found.extend(Seen::of(payload).map(|seen| detector.see(&seen)).unwrap_or_default());
        let stopped = follower.catch_up(durable, &mut |_, payload| {
            see(payload);
            Ok(ControlFlow::Continue(()))
        })?;
        if let Stopped::Gap(_) = stopped {
            // They have left the journal for bundles, or are unreadable.
            for record in forward(dir, From { sequence: follower.next(), time: i64::MIN })? {
                match record?.1 {
                    Found::Record(stamp, payload) if stamp.sequence < durable => see(&payload),
                    Found::Record(..) => break,
                    Found::Unreadable { .. } => {}
                }
            }
            *follower = Follower::new(dir, durable);
        }
        Ok(())
    }
}
