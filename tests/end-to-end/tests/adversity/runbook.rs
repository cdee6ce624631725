//! docs/incidents.md: every command of it, run as it stands by a shell that finds kubectl and `kubectl-openteam`.

use std::{fs, thread, time::Duration};

use crds::AmazonConnection;
use openteam_end_to_end::{US, alone, commands_of, eventually};

#[test]
fn promise_6_every_command_of_the_runbook_does_what_it_says() {
    let house = alone();
    let tenant = house.tenant("acme");
    // Of those that a rotation ends it could be no witness to the end.
    let token = tenant.agent_token();
    let _dies = tenant.runtime_token("nightly");
    let gateway = house.gateway(0);
    let serves = || eventually("it serves", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    let refuses = || eventually("it refuses", || (gateway.call(&token).orders(US).code() == "Contained").then_some(()));
    serves();
    let desk = house.desk("desk");
    let consented = tenant.consent();
    fs::write(desk.directory().join("new-refresh-token.txt"), consented.expose()).unwrap();
    let blocks = commands_of("docs/incidents.md");
    let commands: Vec<&str> = blocks.iter().flat_map(|block| block.lines()).collect();
    assert!(commands.len() > 12, "{commands:?}");
    for &command in &commands {
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
            let output = desk.run(command);
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
        if command.ends_with("openteam status") && commands.iter().position(|one| *one == command) != Some(0) {
            assert!(told.contains("ontained"), "{told}");
        }
    }
    let bundle = evidence::Bundle::read(&desk.directory().join("evidence/inc-7-000001.tar")).unwrap();
    let shows = |path: &str, what: &str| {
        let (_, content) = bundle.files().find(|(at, _)| at.starts_with(path)).unwrap();
        assert!(String::from_utf8_lossy(content).contains(what), "{path}");
    };
    shows("objects/AmazonApplication/", "openteam.dev/disable: inc-7");
    shows("use.json", "orders/v0/getOrders");
    shows("journal/", "orders/v0/getOrders");
    fs::remove_file(desk.directory().join("new-refresh-token.txt")).unwrap();
    house.nobody_panicked();
    house.nothing_leaked();
}
