//! One role: the real binary as a child process, as its pod would run it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cluster::{free_port, spawn, tethered};

/// How long a role may take to become Ready: the operator waits for the lease, the others for their certificate.
const READY: Duration = Duration::from_secs(60);
/// What SIGTERM allows: calls in flight get 20 s, the last events 5 s.
const END: Duration = Duration::from_secs(30);

/// A role's process, running or not.
pub(crate) struct Role {
    pub(crate) pod: String,
    /// The command line.
    command: Vec<String>,
    log_filter: String,
    kubeconfig: PathBuf,
    pub(crate) log: PathBuf,
    /// Where probes and scrapes are answered.
    pub(crate) probes: u16,
    /// Where it serves; the operator does not.
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Role {
    /// The role of `pod`, begun by `command`, the role's name being its last word; `own` are its own arguments. Not
    /// started yet.
    pub(crate) fn new(
        dir: &Path,
        pod: &str,
        kubeconfig: PathBuf,
        command: &[String],
        own: &[String],
        log: &str,
    ) -> Self {
        let (probes, port) = (free_port().unwrap(), free_port().unwrap());
        let mut all = command.to_vec();
        all.extend(["--namespace", crate::NAMESPACE, "--pod", pod].map(str::to_owned));
        all.push(format!("--settings={}", dir.join("settings").display()));
        all.push(format!("--probes=127.0.0.1:{probes}"));
        if command.last().is_some_and(|role| role != "operator") {
            all.push(format!("--listen=127.0.0.1:{port}"));
        }
        if command.last().is_some_and(|role| role == "recorder") {
            all.push(format!("--listen-readers=127.0.0.1:{}", free_port().unwrap()));
        }
        all.extend_from_slice(own);
        Self {
            pod: pod.to_owned(),
            command: all,
            log_filter: log.to_owned(),
            kubeconfig,
            log: dir.join("logs").join(format!("{pod}.log")),
            probes,
            port,
            child: None,
        }
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&mut self) {
        if let Some(child) = &mut self.child
            && child.try_wait().unwrap().is_none()
        {
            return;
        }
        let out = File::options().create(true).append(true).open(&self.log).unwrap();
        let [program, arguments @ ..] = &self.command[..] else { panic!("a role has a command line") };
        let mut command = tethered(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("RUST_LOG", &self.log_filter)
            // For Amazon SQS, which only the operator reads and of whose callers moto asks no more.
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        self.child = Some(spawn(command).unwrap());
    }

    /// Waits until it is Ready.
    pub(crate) fn wait_ready(&mut self) {
        let deadline = Instant::now() + READY;
        while !self.is_ready() {
            let ended = self.child.as_mut().map(|child| child.try_wait().unwrap());
            let Some(None) = ended else { panic!("{} ended:\n{}", self.pod, self.complaints()) };
            assert!(Instant::now() < deadline, "{} is not Ready:\n{}", self.pod, self.complaints());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub(crate) fn is_ready(&self) -> bool {
        crate::raw::plain_get(self.probes, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// SIGTERM, as the kubelet sends it, and its end.
    pub(crate) fn stop(&mut self) {
        self.signal("-TERM");
        let Some(mut child) = self.child.take() else { return };
        let deadline = Instant::now() + END;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{} did not end after SIGTERM:\n{}", self.pod, self.complaints());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Its directory in `/proc`, while it runs.
    pub(crate) fn process(&self) -> Option<PathBuf> {
        self.child.as_ref().map(|child| Path::new("/proc").join(child.id().to_string()))
    }

    /// Sends it a signal, `-STOP` or `-CONT`, if it runs. By the shell's own `kill`: a bare Debian has no other.
    pub(crate) fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let pid = child.id().to_string();
            let status =
                Command::new("sh").args(["-c", "kill \"$@\"", "kill", signal, &pid]).stderr(Stdio::null()).status();
            assert!(status.is_ok(), "sh runs");
        }
    }

    /// What it logged as warnings and errors, the last lines.
    pub(crate) fn complaints(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let plain = |line: &&str| !["\"DEBUG\"", "\"TRACE\"", "\"INFO\""].iter().any(|level| line.contains(level));
        let lines: Vec<&str> = text.lines().filter(plain).collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}
