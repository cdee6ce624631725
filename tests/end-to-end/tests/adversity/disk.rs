//! The recorder's disk is full.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use openteam_end_to_end::{US, alone, eventually};
use serde_json::Value;

const RECORDER: &str = "openteam-recorder-0";
const SIZE: &str = "size=512k";

/// A small disk of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output().unwrap();
        assert!(output.status.success(), "needs root, to mount a disk: {}", String::from_utf8_lossy(&output.stderr));
        Self(at.to_owned())
    }

    /// Takes every byte that is left. The file is the way back.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut filler = File::create(&path).unwrap();
        while filler.write(&[0; 512]).is_ok_and(|written| written > 0) {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the recorder may still have its journal open when the test failed.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn with_the_journals_disk_full_nothing_reaches_amazon_and_all_goes_on_when_there_is_room() {
    let house = alone();
    let tenant = house.tenant("full");
    let token = tenant.runtime_token("nightly");
    house.stop(RECORDER);
    let disk = SmallDisk::mount(&house.disk());
    house.restart(RECORDER);
    let path =
        |mark: &str| format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark={mark}");
    let gateways = house.gateways();
    for gateway in &gateways {
        eventually("it records on the small disk", || {
            (gateway.call(&token).get(&path("roomy")).status == 200).then_some(())
        });
    }

    let filler = disk.fill();
    let granted = |mark: &str| house.amazon().heard(&format!("mark={mark}")).len();
    for gateway in &gateways {
        // What is written already may have room for a record or two.
        let refused = eventually("it refuses", || {
            Some(gateway.call(&token).get(&path("filling"))).filter(|answer| answer.status != 200)
        });
        refused.is_refused(503, "NotRecorded");
    }
    let before = granted("filling");
    for gateway in &gateways {
        let answer = gateway.call(&token).get(&path("filled"));
        answer.is_refused(503, "NotRecorded");
        assert_eq!(answer.message(), "the call could not be recorded; try again");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(gateway.exchange(&format!("full/full-na~{token}")).status, 503);
        gateway.call(&token).get("/no/such/operation").is_refused(403, "OperationUnknown");
    }
    assert_eq!((granted("filled"), granted("filling")), (0, before));

    fs::remove_file(filler).unwrap();
    for gateway in &gateways {
        eventually("it is served again by itself", || {
            (gateway.call(&token).get(&path("roomy-again")).status == 200).then_some(())
        });
    }
    // Whole, and with every call that reached Amazon.
    let intended = |record: &&Value| {
        record["event"]["api"]["operation"] == "orders/v0/getOrders" && record["event"]["status"] == "Intended"
    };
    let recorded = house.journal().iter().filter(intended).count();
    let reached = granted("roomy") + granted("filling");
    assert!(recorded >= reached && reached > 0, "{recorded} recorded, {reached} reached Amazon");

    house.stop(RECORDER);
    drop(disk);
    house.restart(RECORDER);
}
