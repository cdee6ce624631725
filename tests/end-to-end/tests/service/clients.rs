//! An SP-API client that knows nothing of OpenTeam.

use std::{fs, process::Stdio};

use cluster::{agent, spawn, tethered};
use openteam_end_to_end::{CA, US, house};

/// What an agent would write, but for the first lines: there the gateway's name is looked up, which a cluster's DNS does.
const AGENT: &str = include_str!("agent.py");

#[test]
fn the_unmodified_python_client_lists_orders_with_a_token_of_ours() {
    let house = house();
    let tenant = house.tenant("python");
    let packages = agent::packages().unwrap();
    let gateway = house.gateway(0);
    let ca = house.state_dir().join("house/gateway-ca.pem");
    fs::write(&ca, gateway.ca()).unwrap();
    let refresh_token = format!("python/{}~{}", tenant.connection, tenant.agent_token());
    let run = |marketplace: &str| {
        let mut command = tethered("python3");
        command
            .args(["-c", AGENT])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", house.state_dir())
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GATEWAY_HOST", gateway.host())
            .env("GATEWAY_PORT", gateway.port.to_string())
            .env("GATEWAY_CA", &ca)
            .env("MARKETPLACE", marketplace)
            .env("REFRESH_TOKEN", &refresh_token)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = spawn(command).unwrap().wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("Atza|") && !said.contains("Atzr|"), "{said}");
        (output.status.success(), said)
    };
    for (marketplace, position) in [(US, 101), (CA, 102)] {
        let (ok, said) = run(marketplace);
        assert!(ok, "{said}");
        for order in 1..=3 {
            let id = format!("{position}-{:07}-{order:07}", tenant.seller_number);
            assert!(said.contains(&id), "order {id} of {marketplace} is listed: {said}");
        }
    }
    let (ok, said) = run("A1AM78C64UM0Y8");
    assert!(!ok && said.contains("MarketplaceNotInScope"), "a refusal is an error to the client: {said}");
}
