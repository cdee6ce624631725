//! The OCI image layout: <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::Image;
use super::layout::{Entries, Entry};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The archive's bytes.
pub(super) fn archive(image: &Image, entries: &Entries) -> Vec<u8> {
    let layer = tar(entries.iter().map(|(path, entry)| (path.as_path(), entry)));
    let env: Vec<_> = image.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"User": image.user, "Env": env, "Entrypoint": image.entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)],
    })
    .to_string()
    .into_bytes();
    let mut described = descriptor(MANIFEST, &manifest);
    described["platform"] = json!({"architecture": architecture, "os": "linux"});
    // The first is containerd's key for the whole name; the standard has one for the tag.
    described["annotations"] = json!({
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": image.reference.rsplit(':').next(),
    });
    let index = json!({"schemaVersion": 2, "manifests": [described]}).to_string().into_bytes();

    let mut files = Entries::new();
    let mut file = |path: String, bytes| files.insert(path.into(), Entry { bytes: Some(bytes), mode: 0o644 });
    file("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    file("index.json".to_owned(), index);
    for blob in [config, manifest, layer] {
        file(format!("blobs/sha256/{}", hex(&blob)), blob);
    }
    tar(files.iter().map(|(path, entry)| (path.as_path(), entry)))
}

fn tar<'a>(entries: impl Iterator<Item = (&'a Path, &'a Entry)>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, entry) in entries {
        let bytes = entry.bytes.as_deref().unwrap_or_default();
        let mut header = Header::new_gnu();
        header.set_entry_type(if entry.bytes.is_some() { EntryType::Regular } else { EntryType::Directory });
        header.set_mode(entry.mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, bytes).expect("memory takes every byte, and paths are relative");
    }
    builder.into_inner().expect("memory takes every byte")
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hex(blob))
}

fn hex(blob: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(blob))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Read as _;
    use std::path::PathBuf;

    use super::*;

    fn sample(dir: &Path) -> Image {
        fs::create_dir_all(dir.join("data/sub")).unwrap();
        fs::write(dir.join("data/sub/b"), "bb").unwrap();
        fs::write(dir.join("data/a"), "a").unwrap();
        Image::new("localhost/sample:dev")
            .entrypoint(["/usr/local/bin/sh"])
            .env("GREETING", "hello")
            .tree(dir.join("data"), "/data")
            .program("/bin/sh", "/usr/local/bin/sh")
    }

    fn read(archive: &[u8]) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            assert_eq!(entry.header().uid().unwrap(), 0);
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().into_owned(), bytes);
        }
        files
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |dir: &Path| {
            let out = dir.join("image.tar");
            sample(dir).write(&out).unwrap();
            fs::read(out).unwrap()
        };
        assert_eq!(write(one.path()), write(two.path()));
    }

    #[test]
    fn every_blob_has_the_digest_and_size_that_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("image.tar");
        sample(dir.path()).write(&out).unwrap();
        let files = read(&fs::read(out).unwrap());
        let blob = |described: &Value| {
            let name = described["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let bytes = &files[Path::new("blobs/sha256").join(name).as_path()];
            assert_eq!(hex(bytes), name);
            assert_eq!(described["size"], bytes.len());
            bytes.clone()
        };
        let index: Value = serde_json::from_slice(&files[Path::new("index.json")]).unwrap();
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/sample:dev");
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Env"][0], "GREETING=hello");

        let inside = read(&layer);
        assert_eq!(inside[Path::new("data/sub/b")], b"bb");
        for needed in
            ["usr/local/bin/sh", "etc/passwd", "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt", "tmp"]
        {
            assert!(inside.contains_key(Path::new(needed)), "{needed}");
        }
        assert!(inside.keys().any(|path| path.ends_with("libc.so.6")), "the program's libraries");
    }

    #[test]
    fn the_directory_holds_what_the_layer_holds() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let image = sample(dir.path());
        image.write_rootfs(&root).unwrap();
        for (path, entry) in image.layout().unwrap() {
            match entry.bytes {
                Some(bytes) => assert_eq!(fs::read(root.join(path)).unwrap(), bytes),
                None => assert!(root.join(path).is_dir()),
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_refused_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("image.tar");
        let refused = Image::new("localhost/x:dev").file("/no/such/file", "/x").write(&out).unwrap_err();
        assert!(refused.to_string().contains("/no/such/file"), "{refused}");
        assert!(!out.exists());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let image = sample(dir.path()).program(dir.path().join("data/a"), "/usr/local/bin/a");
        assert!(image.write(&dir.path().join("image.tar")).is_err());
    }
}
