use super::*;

/// Of a made-up authority; its key is gone.
const AUTHORITY: &str = include_str!("authority.pem");

fn one(key: &str, value: &str) -> (Settings, Vec<Fault>) {
    check(&[(key.to_owned(), value.to_owned())].into())
}

#[test]
fn settings_are_read_from_a_mounted_config_map() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("..data")).unwrap();
    for (key, value) in [
        ("stalenessLimit", "30s\n"),
        ("gatewayUrl", "https://gateway.example"),
        ("logLevel", "warn"),
        ("tracesEndpoint", "http://collector.example:4318"),
        ("tracesRatio", "0.25"),
        ("smtpUrl", "smtps://mail.example"),
        ("smtpFrom", "openteam@example.com"),
        ("smtpCaBundle", AUTHORITY),
        ("incidentContact", "oncall@example.com"),
        ("amazonContact", "security@amazon.example"),
        ("auditUrl", "s3://bucket/audit"),
        ("evidenceUrl", "s3://bucket/openteam"),
        ("retention", "500d"),
        ("publicUrl", "https://openteam.example"),
        ("trustedProxies", "1"),
    ] {
        fs::write(directory.path().join(key), value).unwrap();
    }
    let settings = Settings::read(directory.path()).unwrap();
    let told: Vec<_> = ALL.iter().map(|setting| setting.value(&settings, "ns")).collect();
    let expected = [
        "security@amazon.example",
        "s3://bucket/audit",
        "s3://bucket/openteam",
        "https://gateway.example",
        "oncall@example.com",
        "warn",
        "https://openteam.example",
        "500d",
        "1 certificate",
        "openteam@example.com",
        "smtps://mail.example:465",
        "30s",
        "http://collector.example:4318/v1/traces",
        "0.25",
        "1",
    ];
    assert_eq!(told, expected);
    assert_eq!(Settings::read(&directory.path().join("none")).unwrap(), Settings::default());
}

#[test]
fn what_is_left_out_has_its_default() {
    let told = ALL.map(|setting| setting.value(&Settings::default(), "ns"));
    assert_eq!(
        told,
        [
            "",
            "",
            "",
            "https://openteam-gateway.ns.svc",
            "",
            "info",
            "https://openteam-portal.ns.svc",
            "400d",
            "",
            "",
            "",
            "10s",
            "",
            "0.01",
            "0"
        ]
    );
}

#[test]
fn what_cannot_be_right_is_refused_by_name_with_what_would_be() {
    for (key, value) in [
        ("evidenceUrl", "https://bucket.example"),
        ("evidenceUrl", "s3://key:secret@bucket"),
        ("stalenessLimit", "4s"),
        ("stalenessLimit", "6m"),
        ("stalenessLimit", "ten"),
        ("stalenessLimit", ""),
        ("gatewayUrl", "http://gateway.example"),
        ("gatewayUrl", "https://gateway.example/path"),
        ("gatewayUrl", "https://gateway.example/?a=b"),
        ("gatewayUrl", "gateway"),
        ("publicUrl", "http://portal.example"),
        ("publicUrl", "https://portal.example/openteam"),
        ("trustedProxies", "-1"),
        ("trustedProxies", "6"),
        ("trustedProxies", "one"),
        ("logLevel", "INFO"),
        ("logLevel", "trace"),
        ("tracesEndpoint", "collector:4318"),
        ("tracesEndpoint", "grpc://collector:4317"),
        ("tracesRatio", "1.1"),
        ("tracesRatio", "-0.1"),
        ("tracesRatio", "NaN"),
        ("tracesRatio", "10%"),
        ("smtpUrl", "mail.example:465"),
        ("smtpUrl", "https://mail.example"),
        ("smtpUrl", "smtps://"),
        ("smtpUrl", "smtps://mail.example/path"),
        ("smtpUrl", "smtps://mail.example?tls=none"),
        ("smtpUrl", "smtps://[::1]:465"),
        ("smtpUrl", "smtp://mail.example:99999"),
        ("smtpFrom", "openteam"),
        ("smtpFrom", "OpenTeam <openteam@example.com>"),
        ("smtpFrom", "a@example.com, b@example.com"),
        ("smtpCaBundle", "/etc/ca.pem"),
        ("smtpCaBundle", "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----"),
        ("incidentContact", "@example.com"),
        ("amazonContact", "security at amazon.example"),
    ] {
        // The other half of what must be set together is no concern here.
        let (settings, mut faults) = one(key, value);
        faults.retain(|fault| fault.key() == key);
        let [fault] = &faults[..] else { panic!("{key}={value}: {faults:?}") };
        let takes = ALL.iter().find(|setting| setting.key == key).unwrap().takes;
        let message = fault.to_string();
        assert!(
            message.starts_with(&format!("{key}: ")) && message.ends_with(&format!("it takes {takes}")),
            "{message}"
        );
        assert_eq!(settings, Settings::default());
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for key in ["gatewayUrl", "publicUrl", "tracesEndpoint"] {
        for value in ["https://me:hunter2@host", "https://host/?key=hunter2", "https://host:hunter2"] {
            let (_, faults) = one(key, value);
            assert_eq!(faults.len(), 1, "{value}");
            assert!(!faults[0].to_string().contains("hunter2"), "{}", faults[0]);
        }
    }
    for value in ["smtps://me:hunter2@host", "smtp://hunter2@host", "smtps://host/?key=hunter2", "smtps://host:hunter2"]
    {
        let (settings, faults) = one("smtpUrl", value);
        assert!(!faults.is_empty() && settings.smtp_url.is_none(), "{value}");
        assert!(faults.iter().all(|fault| !fault.to_string().contains("hunter2")), "{faults:?}");
    }
}

#[test]
fn a_server_without_a_sender_is_half_a_setting_and_so_is_a_sender_without_a_server() {
    for (given, missing) in [("smtpUrl", "smtpFrom"), ("smtpFrom", "smtpUrl")] {
        let value = if given == "smtpUrl" { "smtp://mail.example" } else { "openteam@example.com" };
        let (_, faults) = one(given, value);
        let [fault] = &faults[..] else { panic!("{given}: {faults:?}") };
        assert_eq!(fault.key(), missing);
        assert!(fault.to_string().contains(given), "{fault}");
    }
    // Whom to write to may be known before there is a server.
    assert_eq!(one("incidentContact", "oncall@example.com").1, []);
}

#[test]
fn a_mistyped_key_is_answered_with_the_nearest_and_any_other_with_all() {
    for key in ["stalenesslimit", "stalnessLimit", "StalenessLimit ", "staelnessLimit"] {
        assert_eq!(one(key, "10s").1[0].to_string(), format!("{key} is not a setting; did you mean stalenessLimit?"));
    }
    let message = one("colour", "red").1[0].to_string();
    for setting in ALL {
        assert!(message.contains(setting.key), "{message}");
    }
}

#[test]
fn records_are_kept_for_a_year_at_least() {
    for (value, days) in [("365d", 365), ("400d", 400), ("3660d", 3660)] {
        assert_eq!(one("retention", value).0.retention.as_secs(), days * 86_400);
    }
    for value in ["364d", "3661d", "0d", "d", "400", "1y", "400h", "+400d", "4 00d", "99999999999d"] {
        let message = one("retention", value).1[0].to_string();
        assert!(message.contains("it takes 365d to 3660d"), "{message}");
    }
}

#[test]
fn a_role_is_told_all_that_is_wrong_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for (key, value) in [("stalenessLimit", "1s"), ("logLevel", "loud"), ("retention", "30d")] {
        fs::write(directory.path().join(key), value).unwrap();
    }
    let message = Settings::read(directory.path()).unwrap_err().to_string();
    for key in ["stalenessLimit", "logLevel", "retention"] {
        assert!(message.contains(key), "{message}");
    }
}
