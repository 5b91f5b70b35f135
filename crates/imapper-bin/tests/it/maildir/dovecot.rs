//! Dovecot: what it wrote is served, and what was written is served by it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::clients::succeed;
use crate::program::Running;

use super::{Layout, Mail, PASSWORD, Site, assert_same, files_under, own_ip, program_in};

/// Dovecot serves no mail that belongs to root; where the tests are root's, the mail is `nobody`'s.
const NOBODY: u32 = 65534;

/// Where Debian has it, which is not on every user's path.
const DOVECOT: &str = "/usr/sbin/dovecot";

impl Mail {
    /// Dovecot on the same mail.
    pub(super) fn dovecot(&self) -> Site<'_> {
        // It has to be told one.
        static PORT: AtomicU16 = AtomicU16::new(14300);
        let address = SocketAddr::from((own_ip(), PORT.fetch_add(1, Ordering::Relaxed)));
        let configuration = self.configuration(address);
        self.folder.write("dovecot.conf", &configuration);
        assert!(Path::new(DOVECOT).is_file(), "dovecot is not installed: `cargo xtask ci` installs it");
        let mut dovecot = program_in(&self.folder, DOVECOT);
        dovecot.args(["-F", "-c"]).arg(self.folder.path().join("dovecot.conf"));
        let mut server = Running::start(dovecot);
        // It listens by then.
        server.logged("starting up for imap");
        self.site(server, address)
    }

    fn configuration(&self, address: SocketAddr) -> String {
        let folder = self.folder.path().display();
        let (ip, port) = (address.ip(), address.port());
        let layout = match self.layout {
            // Its default. Named explicitly, INBOX would be `.INBOX`.
            Layout::MaildirPlusPlus => "",
            Layout::Fs => ":LAYOUT=fs",
        };
        format!(
            "protocols = imap\nlisten = {ip}\nbase_dir = {folder}/dovecot\nlog_path = /dev/stderr\n\
             ssl = no\ndisable_plaintext_auth = no\n\
             mail_location = maildir:{folder}/mail/%u{layout}\n\
             namespace inbox {{\n inbox = yes\n separator = /\n}}\n\
             passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n port = {port}\n }}\n\
             inet_listener imaps {{\n port = 0\n }}\n}}\n\
             service anvil {{\n chroot =\n}}\n{}",
            self.owner()
        )
    }

    /// Whose the mail is, and as whom Dovecot's processes run.
    fn owner(&self) -> String {
        let id = |switch: &str| succeed(program_in(&self.folder, "id").arg(switch)).trim().to_owned();
        let (uid, gid) = (id("-u"), id("-g"));
        if uid != "0" {
            let (user, group) = (id("-un"), id("-gn"));
            return format!(
                "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
                 userdb {{\n driver = static\n args = uid={uid} gid={gid} home={}/home\n}}\n",
                self.folder.path().display()
            );
        }
        let owner = format!("{NOBODY}:{NOBODY}");
        succeed(program_in(&self.folder, "chown").args(["-R", &owner, "mail"]));
        format!("userdb {{\n driver = static\n args = uid={NOBODY} gid={NOBODY} home=/nonexistent\n}}\n")
    }
}

/// There and back and there again.
fn clients_see_the_same_from_either(layout: Layout) {
    let mail = Mail::new(layout);
    let dovecot = mail.dovecot();
    dovecot.python_to_its_end("fill.py", &[]);
    let filled = dovecot.snapshot();
    // Itself it sees the same twice.
    assert_same(&filled, &dovecot.snapshot());
    dovecot.stop();

    let imapper = mail.imapper();
    assert_same(&filled, &imapper.snapshot());
    imapper.python_to_its_end("change.py", &["1"]);
    let changed = imapper.snapshot();
    imapper.stop();

    let dovecot = mail.dovecot();
    assert_same(&changed, &dovecot.snapshot());
    dovecot.python_to_its_end("change.py", &["2"]);
    let changed = dovecot.snapshot();
    dovecot.stop();

    let imapper = mail.imapper();
    assert_same(&changed, &imapper.snapshot());
    imapper.stop();
}

#[test]
fn a_client_sees_the_same_mail_from_either_in_maildir_plus_plus() {
    clients_see_the_same_from_either(Layout::MaildirPlusPlus);
}

#[test]
fn a_client_sees_the_same_mail_from_either_in_nested_folders() {
    clients_see_the_same_from_either(Layout::Fs);
}

/// Each mailbox with its HIGHESTMODSEQ.
#[track_caller]
fn modseqs(site: &Site<'_>) -> Vec<(String, u64)> {
    let out = site.python("modseqs.py", &[]);
    let pairs = out.lines().map(|line| line.split_once(' ').unwrap());
    pairs.map(|(modseq, name)| (name.to_owned(), modseq.parse().unwrap())).collect()
}

/// Removes all files that are imapper's alone.
fn forget(mail: &Mail) {
    let is_ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("imapper.");
    let ours: Vec<_> =
        files_under(&mail.root()).into_iter().filter(|path| is_ours(path.file_name().unwrap())).collect();
    assert!(!ours.is_empty(), "imapper has no files of its own");
    for file in ours {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn without_its_own_files_imapper_keeps_uids_and_flags_and_begins_with_higher_mod_sequences() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let mail = Mail::new(layout);
        let dovecot = mail.dovecot();
        dovecot.python_to_its_end("fill.py", &[]);
        dovecot.stop();

        let imapper = mail.imapper();
        imapper.python_to_its_end("change.py", &["1"]);
        let (changed, before) = (imapper.snapshot(), modseqs(&imapper));
        imapper.stop();
        forget(&mail);

        let imapper = mail.imapper();
        assert_same(&changed, &imapper.snapshot());
        let after = modseqs(&imapper);
        assert_eq!(before.len(), after.len());
        for ((name, old), (same_name, new)) in before.iter().zip(&after) {
            assert_eq!(name, same_name);
            assert!(new > old, "{name} had {old} and has {new}");
        }
        imapper.stop();
    }
}
