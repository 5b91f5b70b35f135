//! `ImapFlow`, a client in JavaScript. What it asks and expects stands in the script beside.

use std::path::PathBuf;

use super::{Site, succeed};

#[test]
fn a_session_with_qresync() {
    let site = Site::new();
    let modules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/npm/node_modules");
    assert!(modules.join("imapflow").is_dir(), "imapflow is not installed: `cargo xtask ci` installs it");
    let mut node = site.script("node", "imapflow/qresync.cjs");
    node.env("NODE_PATH", modules);
    // A script that ends early without an error has not looked at everything.
    assert_eq!(succeed(&mut node), "all is as expected\n");
    site.stop();
}
