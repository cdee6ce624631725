//! After a restart of the apiserver, which for half a minute may not know the kinds that policies take parameters of.

use cluster::ControlPlane;
use openteam_end_to_end::{eventually, good, install};

use crate::place::KINDS;

/// Whether it forgets the kinds is luck.
const RESTARTS: usize = 4;

#[test]
fn containing_works_as_soon_as_a_restarted_apiserver_answers() {
    let control_plane = ControlPlane::start().unwrap();
    install(&control_plane);
    let kubectl = control_plane.client();
    for kind in KINDS {
        eventually("an object is made", || kubectl.run_with(&["create", "-f", "-"], &good(kind).to_string()).ok());
    }
    for restart in 0..RESTARTS {
        control_plane.restart_apiserver().unwrap();
        let incidents: Vec<String> = (0..=restart).map(|number| format!("inc-{number}")).collect();
        let incidents = format!("openteam.dev/disable={}", incidents.join(","));
        for kind in KINDS {
            let object = format!("{0}/{0}", kind.to_lowercase());
            // What a policy says is final here; only an apiserver that does not answer yet is asked again.
            eventually("the apiserver answers", || {
                let output = kubectl.output(&["annotate", "--overwrite", &object, &incidents]).unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!said.contains("ValidatingAdmissionPolicy"), "{kind} cannot be contained: {said}");
                output.status.success().then_some(())
            });
        }
    }
}
