//! Python's imaplib. What it asks and expects stands in the scripts beside.

use super::{Site, succeed};

fn passes(script: &str) {
    passes_at(Site::new(), script);
}

fn passes_at(site: Site, script: &str) {
    let out = succeed(&mut site.python(script));
    // A script that ends early without an error has not looked at everything.
    assert_eq!(out, "all is as expected\n");
    site.stop();
}

#[test]
fn every_way_to_log_in() {
    passes("imaplib/login.py");
}

#[test]
fn mailboxes() {
    passes("imaplib/mailboxes.py");
}

#[test]
fn messages() {
    passes("imaplib/messages.py");
}

#[test]
fn idle_tells_what_another_connection_appends() {
    passes("imaplib/idle.py");
}

#[test]
fn faults_on_demand() {
    passes_at(Site::with_plugins("XTOYBIRD,X-FAULTS,STARTTLS"), "imaplib/faults.py");
}

#[test]
fn five_megabytes_there_and_back() {
    passes("imaplib/large.py");
}
