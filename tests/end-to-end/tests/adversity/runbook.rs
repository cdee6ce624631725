//! docs/incidents.md: every command of it, run as it stands by a shell that finds kubectl and `kubectl-openteam`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::Duration,
};

use crds::AmazonConnection;
use openteam_end_to_end::{House, US, alone, eventually};

const RUNBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/incidents.md");

/// Each line of each block of commands.
fn commands() -> Vec<String> {
    let text = fs::read_to_string(RUNBOOK).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// Where a command finds its programs.
struct Desk {
    directory: PathBuf,
}

impl Desk {
    /// `kubectl` leads to the house. This house has no node to run a command in, so `kubectl exec` runs it here, on the
    /// recorder's own disk.
    fn new(house: &House) -> Self {
        let directory = house.state_dir().join("desk");
        fs::create_dir_all(&directory).unwrap();
        let openteam = house.program();
        for name in ["kubectl-openteam", "openteam"] {
            symlink(openteam, directory.join(name)).unwrap();
        }
        let real = house.kubectl().command();
        let words = std::iter::once(real.get_program()).chain(real.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        // A plugin's name comes before all options; where the cluster is it learns from KUBECONFIG.
        let options = words.iter().position(|word| word.starts_with("'--kubeconfig")).unwrap();
        let journal = house.disk().join("journal").display().to_string();
        let script = format!(
            "#!/bin/sh\ncase $1 in\n\
             exec) while [ \"$1\" != /usr/local/bin/openteam ]; do shift; done; shift; exec '{}' \"$@\" --dir '{journal}' ;;\n\
             openteam) exec {} \"$@\" ;;\n\
             *) exec {} \"$@\" ;;\nesac\n",
            openteam.display(),
            words[..options].join(" "),
            words.join(" ")
        );
        let kubectl = directory.join("kubectl");
        fs::write(&kubectl, script).unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    fn run(&self, house: &House, command: &str) -> Output {
        let path = format!("{}:{}", self.directory.display(), std::env::var("PATH").unwrap_or_default());
        Command::new("sh")
            .args(["-euc", command])
            .current_dir(&self.directory)
            .env("PATH", path)
            .env("KUBECONFIG", house.kubeconfig())
            .output()
            .unwrap()
    }
}

#[test]
fn every_command_of_the_runbook_does_what_it_says() {
    let house = alone();
    let tenant = house.tenant("acme");
    // Of those that a rotation ends it could be no witness to the end.
    let token = tenant.agent_token();
    let _dies = tenant.runtime_token("nightly");
    let gateway = house.gateway(0);
    let serves = || eventually("it serves", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    let refuses = || eventually("it refuses", || (gateway.call(&token).orders(US).code() == "Contained").then_some(()));
    serves();
    let desk = Desk::new(&house);
    let consented = tenant.consent();
    fs::write(desk.directory.join("new-refresh-token.txt"), consented.expose()).unwrap();
    let commands = commands();
    assert!(commands.len() > 12, "{commands:?}");
    for command in &commands {
        let restores = command.contains("restore");
        let contains = !restores && command.contains("disable");
        if restores {
            // The one before may have restored already.
            house.disable::<AmazonConnection>("acme", "acme-na", "inc-7");
            refuses();
            // `date` tells whole seconds, and each restoration must be later than the one before.
            thread::sleep(Duration::from_secs(1));
        }
        let output = eventually("the command is done", || {
            let output = desk.run(&house, command);
            // An Incident is opened, and looked at, a moment after the annotation.
            (output.status.success() || !command.contains("incident")).then_some(output)
        });
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{told}");
        if contains {
            refuses();
        } else if restores {
            serves();
        }
        if command.ends_with("openteam status") && commands.iter().position(|one| one == command) != Some(0) {
            assert!(told.contains("ontained"), "{told}");
        }
    }
    let bundle = evidence::Bundle::read(&desk.directory.join("evidence/inc-7-000001.tar")).unwrap();
    let shows = |path: &str, what: &str| {
        let (_, content) = bundle.files().find(|(at, _)| at.starts_with(path)).unwrap();
        assert!(String::from_utf8_lossy(content).contains(what), "{path}");
    };
    shows("objects/AmazonApplication/", "openteam.dev/disable: inc-7");
    shows("use.json", "orders/v0/getOrders");
    shows("journal/", "orders/v0/getOrders");
    fs::remove_file(desk.directory.join("new-refresh-token.txt")).unwrap();
    house.nobody_panicked();
    house.nothing_leaked();
}
