//! The settings all roles read at their start: ConfigMap `openteam`, mounted as a directory with one file a key.

mod faults;
mod mail;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

pub use faults::{Fault, Faults};

use crate::mail::{EmailAddress, SmtpServer};

const DAY: Duration = Duration::from_secs(86_400);

/// What the ConfigMap `openteam` says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `auditUrl`: where recorders copy their logs to. Default: nowhere; they are on the recorders' disks.
    pub audit_url: Option<Url>,
    /// `evidenceUrl`: where the operator copies evidence of incidents to. Default: nowhere; recorders keep it.
    pub evidence_url: Option<Url>,
    /// `retention`: how long records are kept, in whole days. 365d to 3660d, default 400d.
    pub retention: Duration,
    /// `stalenessLimit`: how old a gateway's view of the cluster may be before it refuses everything. 5s to 5m,
    /// default 10s.
    pub staleness_limit: Duration,
    /// `gatewayUrl`: the address agents call, told to them by ConfigMap `openteam-gateway`. Default: the gateway's
    /// Service.
    pub gateway_url: Option<Url>,
    /// `logLevel`: what is logged. Default info.
    pub log_level: LogLevel,
    /// `tracesEndpoint`: where OpenTelemetry traces are sent, by OTLP over HTTP. Default: nowhere, and none are made.
    pub traces_endpoint: Option<Url>,
    /// `tracesRatio`: the share of traces that is kept, 0 to 1. Default 0.01.
    pub traces_ratio: f64,
    /// `smtpUrl`: the server that mail is given to. Default: none, and nobody is written to.
    pub smtp_url: Option<SmtpServer>,
    /// `smtpFrom`: the address that mail comes from.
    pub smtp_from: Option<EmailAddress>,
    /// `smtpCaBundle`: PEM of the only authorities that the server's certificate may be of. Default: the system's.
    pub smtp_ca_bundle: Option<String>,
    /// `incidentContact`: who is written to about every incident.
    pub incident_contact: Option<EmailAddress>,
    /// `amazonContact`: where Amazon wants to be told of incidents. OpenTeam only drafts the notice.
    pub amazon_contact: Option<EmailAddress>,
    /// `publicUrl`: the origin at which people find the portal. Default: the portal's Service.
    pub public_url: Option<Url>,
    /// `trustedProxies`: how many proxies stand before the portal, whose `X-Forwarded-For` is believed. 0 to 5, default 0.
    pub trusted_proxies: usize,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "everybody knows them")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// As users write it, and `tracing` reads it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audit_url: None,
            evidence_url: None,
            retention: 400 * DAY,
            staleness_limit: Duration::from_secs(10),
            gateway_url: None,
            log_level: LogLevel::Info,
            traces_endpoint: None,
            traces_ratio: 0.01,
            smtp_url: None,
            smtp_from: None,
            smtp_ca_bundle: None,
            incident_contact: None,
            amazon_contact: None,
            public_url: None,
            trusted_proxies: 0,
        }
    }
}

/// A key of the ConfigMap, for who wants to know what there is.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it does.
    pub does: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
    told: fn(&Settings, namespace: &str) -> String,
}

impl Setting {
    /// Its effective value, as it would be written; `namespace` is OpenTeam's own.
    #[must_use]
    pub fn value(&self, settings: &Settings, namespace: &str) -> String {
        (self.told)(settings, namespace)
    }
}

/// All settings there are, by name.
pub const ALL: [Setting; 15] = [
    mail::AMAZON_CONTACT,
    Setting {
        key: "auditUrl",
        takes: "s3://BUCKET/PATH or file:///DIRECTORY",
        does: "where recorders copy their logs to, every ten minutes and once for good; what is there is not overwritten",
        set: |settings, value| storage_url(value).map(|it| settings.audit_url = Some(it)),
        told: |settings, _| settings.audit_url.as_ref().map(Url::to_string).unwrap_or_default(),
    },
    Setting {
        key: "evidenceUrl",
        takes: "s3://BUCKET/PATH or file:///DIRECTORY",
        does: "where the operator copies evidence of incidents to; it overwrites nothing there",
        set: |settings, value| storage_url(value).map(|it| settings.evidence_url = Some(it)),
        told: |settings, _| settings.evidence_url.as_ref().map(Url::to_string).unwrap_or_default(),
    },
    Setting {
        key: "gatewayUrl",
        takes: "https://HOST or https://HOST:PORT",
        does: "the address that agents call, told to them in each Team's namespace; a host that the gateway's certificate names",
        set: |settings, value| origin(value).map(|it| settings.gateway_url = Some(it)),
        told: Settings::gateway_address,
    },
    mail::INCIDENT_CONTACT,
    Setting {
        key: "logLevel",
        takes: "error, warn, info or debug",
        does: "what the roles log",
        set: |settings, value| log_level(value).map(|it| settings.log_level = it),
        told: |settings, _| settings.log_level.as_str().to_owned(),
    },
    Setting {
        key: "publicUrl",
        takes: "https://HOST or https://HOST:PORT",
        does: "the address at which people find the portal; no other is signed in at, and Amazon sends sellers back to it",
        set: |settings, value| origin(value).map(|it| settings.public_url = Some(it)),
        told: Settings::portal_address,
    },
    Setting {
        key: "retention",
        takes: "365d to 3660d",
        does: "how long records are kept; whole quarters are deleted when all of them is older, and none while an incident is open",
        set: |settings, value| retention(value).map(|it| settings.retention = it),
        told: |settings, _| format!("{}d", settings.retention.as_secs() / DAY.as_secs()),
    },
    mail::SMTP_CA_BUNDLE,
    mail::SMTP_FROM,
    mail::SMTP_URL,
    Setting {
        key: "stalenessLimit",
        takes: "5s to 5m",
        does: "how old a gateway's view of the cluster may be before it refuses every call",
        set: |settings, value| staleness_limit(value).map(|it| settings.staleness_limit = it),
        told: |settings, _| crds::duration::format(settings.staleness_limit),
    },
    Setting {
        key: "tracesEndpoint",
        takes: "http://HOST:PORT or https://HOST:PORT, with a path other than /v1/traces if need be",
        does: "the OpenTelemetry collector that traces are sent to by OTLP over HTTP; without it there are none",
        set: |settings, value| traces_endpoint(value).map(|it| settings.traces_endpoint = Some(it)),
        told: |settings, _| settings.traces_endpoint.as_ref().map(Url::to_string).unwrap_or_default(),
    },
    Setting {
        key: "tracesRatio",
        takes: "0 to 1",
        does: "the share of traces that is sent",
        set: |settings, value| traces_ratio(value).map(|it| settings.traces_ratio = it),
        told: |settings, _| settings.traces_ratio.to_string(),
    },
    Setting {
        key: "trustedProxies",
        takes: "0 to 5",
        does: "how many proxies stand before the portal, each of which adds to X-Forwarded-For where a request came from; with \
               a number above what is there, anybody can pretend to be elsewhere",
        set: |settings, value| trusted_proxies(value).map(|it| settings.trusted_proxies = it),
        told: |settings, _| settings.trusted_proxies.to_string(),
    },
];

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The directory or a file in it cannot be read.
    #[error("settings in {path} cannot be read")]
    Unreadable {
        /// Directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Keys or values that are not right.
    #[error("ConfigMap openteam: {0}")]
    Faulty(Faults),
}

impl Settings {
    /// The address agents call, without a trailing slash: as set, or the gateway's Service in `namespace`.
    #[must_use]
    pub fn gateway_address(&self, namespace: &str) -> String {
        match &self.gateway_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("https://openteam-gateway.{namespace}.svc"),
        }
    }

    /// The portal's origin, without a trailing slash: as set, or its Service in `namespace`.
    #[must_use]
    pub fn portal_address(&self, namespace: &str) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("https://openteam-portal.{namespace}.svc"),
        }
    }

    /// Reads the directory. A missing directory is the default settings: the ConfigMap is optional.
    ///
    /// # Errors
    /// Names every setting that is not right, and what it takes.
    pub fn read(directory: &Path) -> Result<Self, SettingsError> {
        match check(&entries(directory)?) {
            (settings, faults) if faults.is_empty() => Ok(settings),
            (_, faults) => Err(SettingsError::Faulty(Faults(faults))),
        }
    }
}

/// The keys and values of a mounted ConfigMap.
///
/// # Errors
/// [`SettingsError::Unreadable`].
pub fn entries(directory: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| SettingsError::Unreadable { path, source }
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(directory)(error)),
    };
    let mut values = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(unreadable(directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A mounted ConfigMap keeps its versions in directories that begin with two dots.
        if name.starts_with("..") {
            continue;
        }
        values.insert(name, fs::read_to_string(&path).map_err(unreadable(&path))?);
    }
    Ok(values)
}

/// Checks the keys of the ConfigMap: the settings, those that are not right at their defaults, and all that is wrong.
#[must_use]
pub fn check(values: &BTreeMap<String, String>) -> (Settings, Vec<Fault>) {
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    for (key, value) in values {
        match ALL.iter().find(|setting| setting.key == key) {
            Some(setting) => {
                if let Err(why) = (setting.set)(&mut settings, value.trim()) {
                    faults.push(Fault::Invalid { key: setting.key, why, takes: setting.takes });
                }
            }
            None => faults.push(Fault::no_setting(key)),
        }
    }
    faults.extend(mail::half_set(values));
    (settings, faults)
}

fn storage_url(value: &str) -> Result<Url, String> {
    crate::storage::parse(value).map_err(|_| format!("{value:?} is not of that form"))
}

fn staleness_limit(value: &str) -> Result<Duration, String> {
    let limit = crds::duration::parse(value).map_err(|error| error.to_string())?;
    // Below 5 s an ordinary watch would count as stale (it proves itself every 3 s); above 5 min containment means little.
    if !(Duration::from_secs(5)..=Duration::from_secs(300)).contains(&limit) {
        return Err(format!("{value:?} is out of range"));
    }
    Ok(limit)
}

fn retention(value: &str) -> Result<Duration, String> {
    let days = value.strip_suffix('d').filter(|days| days.bytes().all(|byte| byte.is_ascii_digit()));
    let days: u32 = days.and_then(|days| days.parse().ok()).ok_or_else(|| format!("{value:?} is not of that form"))?;
    // Amazon's Data Protection Policy asks for twelve months.
    if !(365..=3660).contains(&days) {
        return Err(format!("{value:?} is out of range"));
    }
    Ok(days * DAY)
}

fn origin(value: &str) -> Result<Url, String> {
    let url = address(value)?;
    if url.scheme() != "https" || url.path() != "/" {
        return Err(format!("{value:?} is not of that form"));
    }
    Ok(url)
}

fn log_level(value: &str) -> Result<LogLevel, String> {
    let level = LogLevel::ALL.into_iter().find(|level| level.as_str() == value);
    level.ok_or_else(|| format!("{value:?} is no level"))
}

fn traces_endpoint(value: &str) -> Result<Url, String> {
    let mut url = address(value)?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("{value:?} is not of that form"));
    }
    if url.path() == "/" {
        // Where OTLP 1.9, "OTLP/HTTP Request", has a collector listen.
        url.set_path("/v1/traces");
    }
    Ok(url)
}

fn traces_ratio(value: &str) -> Result<f64, String> {
    let ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("{value:?} is no such number"))
}

fn trusted_proxies(value: &str) -> Result<usize, String> {
    let count = value.parse().ok().filter(|count| *count <= 5);
    count.ok_or_else(|| format!("{value:?} is no such number"))
}

/// An address with a host and without what does not belong in a ConfigMap, such as a password. Its errors do not repeat
/// the value, which may hold one.
fn address(value: &str) -> Result<Url, String> {
    let url: Url = value.parse().map_err(|error| format!("it is no address ({error})"))?;
    if url.host().is_none() {
        return Err("it is an address without a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("an address here has no user, password, query or fragment".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
