//! The settings all roles read: ConfigMap `openteam`, mounted as a directory with one file a key.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

/// What the ConfigMap `openteam` says, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `stalenessLimit`: how old a gateway's view of the cluster may be before it refuses everything. 5s to 5m,
    /// default 10s.
    pub staleness_limit: Duration,
    /// `gatewayUrl`: the address agents call, told to them by ConfigMap `openteam-gateway`. Default: the gateway's
    /// Service.
    pub gateway_url: Option<Url>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { staleness_limit: Duration::from_secs(10), gateway_url: None }
    }
}

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
    /// A key that no setting has.
    #[error("ConfigMap openteam: {0} is not a setting; there are: gatewayUrl, stalenessLimit")]
    Unknown(String),
    /// A value that its setting cannot take.
    #[error("ConfigMap openteam: {key}: {why}")]
    Invalid {
        /// The setting.
        key: &'static str,
        /// What is wrong with the value.
        why: String,
    },
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

    /// Reads the directory. A missing directory is the default settings: the ConfigMap is optional.
    ///
    /// # Errors
    /// Names the setting and what it takes.
    pub fn read(directory: &Path) -> Result<Self, SettingsError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| SettingsError::Unreadable { path, source }
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
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
        Self::parse(&values)
    }

    /// Checks the keys of the ConfigMap.
    ///
    /// # Errors
    /// Names the setting and what it takes.
    pub fn parse(values: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for (key, value) in values {
            let value = value.trim();
            match key.as_str() {
                "stalenessLimit" => settings.staleness_limit = staleness_limit(value)?,
                "gatewayUrl" => settings.gateway_url = Some(gateway_url(value)?),
                _ => return Err(SettingsError::Unknown(key.clone())),
            }
        }
        Ok(settings)
    }
}

fn staleness_limit(value: &str) -> Result<Duration, SettingsError> {
    let invalid = |why: String| SettingsError::Invalid { key: "stalenessLimit", why };
    let limit = crds::duration::parse(value).map_err(|error| invalid(error.to_string()))?;
    // Below 5 s an ordinary watch would count as stale (it proves itself every 3 s); above 5 min containment means little.
    if !(Duration::from_secs(5)..=Duration::from_secs(300)).contains(&limit) {
        return Err(invalid(format!("{value} is outside 5s to 5m")));
    }
    Ok(limit)
}

fn gateway_url(value: &str) -> Result<Url, SettingsError> {
    let invalid = |why: String| SettingsError::Invalid { key: "gatewayUrl", why };
    let url: Url = value.parse().map_err(|error| invalid(format!("{value:?} is no address: {error}")))?;
    if url.scheme() != "https" || url.host().is_none() || url.path() != "/" || url.query().is_some() {
        return Err(invalid(format!("{value:?} must be https://HOST or https://HOST:PORT")));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::parse(&[(key.to_owned(), value.to_owned())].into())
    }

    #[test]
    fn settings_are_read_from_a_mounted_config_map() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("..data")).unwrap();
        fs::write(directory.path().join("stalenessLimit"), "30s\n").unwrap();
        fs::write(directory.path().join("gatewayUrl"), "https://gateway.example").unwrap();
        let settings = Settings::read(directory.path()).unwrap();
        assert_eq!(settings.staleness_limit, Duration::from_secs(30));
        assert_eq!(settings.gateway_url.unwrap().as_str(), "https://gateway.example/");
        assert_eq!(Settings::read(&directory.path().join("none")).unwrap(), Settings::default());
    }

    #[test]
    fn what_cannot_be_right_is_refused_by_name() {
        for (key, value) in [
            ("stalenessLimit", "4s"),
            ("stalenessLimit", "6m"),
            ("stalenessLimit", "ten"),
            ("gatewayUrl", "http://gateway.example"),
            ("gatewayUrl", "https://gateway.example/path"),
            ("gatewayUrl", "gateway"),
            ("stalenesslimit", "10s"),
        ] {
            let message = parse(key, value).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
        }
    }
}
