//! isync's mbsync: a Maildir and the server, kept the same both ways.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use crate::client::Client;

use super::{PASSWORD, Site, USER, run, succeed};

/// What isync 1.4 says after it has uploaded messages to a server without UIDPLUS (RFC 4315): it asks for the
/// new messages by the header that it gave them, takes the answer for one that nobody asked for, and leaves
/// the mailbox. When it is run again it finds them.
const LOST_ITS_WAY: &str = "IMAP error: received extraneous data in FETCH response";

const MAILBOXES: usize = 3;

impl Site {
    /// With our Maildir, by the connection that these lines describe.
    fn mbsync(&self, connection: &str) -> Command {
        let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
        let configuration = format!(
            "FSync no\nIMAPStore far\nHost localhost\n{connection}\nUser {USER}\nPass \"{password}\"\n\
             AuthMechs LOGIN\nCertificateFile cert.pem\nSystemCertificates no\n\n\
             MaildirStore near\nPath maildir/\nInbox maildir/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nCopyArrivalDate yes\n\
             SyncState *\n"
        );
        self.folder.write("mbsyncrc", &configuration);
        let mut command = self.program("mbsync");
        // With its side of the traffic, from which it leaves out the password.
        command.args(["--debug-net", "--config", "mbsyncrc", "--all"]);
        command
    }

    /// Until all is done. Gives the commands of the last run.
    #[track_caller]
    fn synchronise(&self, connection: &str) -> Vec<String> {
        let mut client = Client::connect(self.server.addresses[0]);
        let has_uidplus = client.ask("a CAPABILITY").contains("UIDPLUS");
        let mut again = if has_uidplus { 0 } else { MAILBOXES };
        loop {
            let ended = run(&mut self.mbsync(connection));
            if ended.status == 0 {
                let sent = ended.out.lines().filter_map(|line| line.split_once(">>> ")).map(|(_, sent)| sent);
                return sent.map(str::to_owned).collect();
            }
            let lost_its_way = ended.err.contains(LOST_ITS_WAY) || ended.out.contains(LOST_ITS_WAY);
            assert!(lost_its_way && again > 0, "stdout:\n{}\nstderr:\n{}", ended.out, ended.err);
            again -= 1;
        }
    }

    #[track_caller]
    fn mail(&self, arguments: &[&str]) -> String {
        succeed(self.python("mbsync/mail.py").args(arguments))
    }

    /// All files of the Maildir, mbsync's own among them: when they were written, and their content.
    fn files(&self) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.path().join("maildir")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    files.insert(path, (metadata.modified().unwrap(), content));
                }
            }
        }
        files
    }
}

/// Fills both sides, lets mbsync make them the same, changes both, and so on.
fn both_ways(site: &Site, connection: &str) {
    site.mail(&["fill"]);
    site.synchronise(connection);
    site.mail(&["compare", "200"]);

    site.mail(&["flag"]);
    site.synchronise(connection);
    site.mail(&["compare", "200"]);

    site.mail(&["remove"]);
    site.synchronise(connection);
    // A tenth was removed on each side.
    site.mail(&["compare", "160"]);

    let (there, here) = (site.mail(&["server"]), site.files());
    assert!(there.lines().count() > 160 && here.len() > 160, "{there}");
    let sent = site.synchronise(connection);
    assert_eq!(site.mail(&["server"]), there);
    let after = site.files();
    assert_eq!(after.keys().collect::<Vec<_>>(), here.keys().collect::<Vec<_>>());
    let written = after.iter().filter(|(path, file)| here[*path] != **file).map(|(path, _)| path);
    assert_eq!(written.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    // It has looked, and has neither sent nor fetched a message.
    assert!(sent.iter().any(|command| command.contains(" SELECT \"INBOX\"")), "{sent:#?}");
    for command in &sent {
        for word in ["APPEND", "STORE", "COPY", "EXPUNGE", "CREATE", "BODY"] {
            assert!(!command.contains(word), "{command}");
        }
    }
}

#[test]
fn three_mailboxes_both_ways_over_starttls() {
    let site = Site::new();
    both_ways(&site, &format!("Port {}\nSSLType STARTTLS", site.starttls_port()));
    let ended = site.stop();
    assert!(ended.out.contains(" APPEND \"Gem&APw-se\" "), "mbsync has not uploaded");
}

/// One run on a new site.
fn once(connection: impl Fn(&Site) -> String) {
    let site = Site::new();
    site.mail(&["fill"]);
    site.synchronise(&connection(&site));
    site.mail(&["compare", "200"]);
    site.stop();
}

#[test]
fn over_implicit_tls() {
    once(|site| format!("Port {}\nSSLType IMAPS", site.tls_port()));
}

#[test]
fn in_the_clear() {
    once(|site| format!("Port {}\nSSLType None", site.plain_port()));
}
