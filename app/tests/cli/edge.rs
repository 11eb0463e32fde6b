//! What the edge's files are asked for.

use crate::sandbox::Sandbox;
use std::fs;

#[test]
fn the_root_of_the_edges_own_authority_is_printed() {
    let sandbox = Sandbox::new("");
    let missing = sandbox.run(&["edge", "root-ca"]);
    assert!(missing.status != 0 && missing.err.contains("root.pem"), "{missing:?}");
    let tls = sandbox.path().join("state/edge/tls");
    fs::create_dir_all(&tls).unwrap();
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    fs::write(tls.join("root.pem"), pem).unwrap();
    assert_eq!(sandbox.run(&["edge", "root-ca"]).ok().out, pem);
    assert_eq!(sandbox.run(&["edge"]).status, 2, "the process must be told where its files are");
}
