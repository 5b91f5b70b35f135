//! mbsync with its state of before: the server changes under it, and it does not notice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::clients::run;
use crate::program::Folder;

use super::{Layout, Mail, Site, assert_same, files_under, program_in};

impl Site<'_> {
    /// Runs mbsync, which must not fail; gives the commands that it sent.
    #[track_caller]
    pub(super) fn mbsync(&self) -> Vec<String> {
        let Self { user, password, .. } = self;
        let (host, port) = (self.host(), self.address.port());
        let tls = match &self.certificate {
            Some(path) => {
                format!("SSLType STARTTLS\nCertificateFile {}\nSystemCertificates no", path.display())
            }
            None => "SSLType None".to_owned(),
        };
        let configuration = format!(
            "FSync no\nIMAPStore far\nHost {host}\nPort {port}\n{tls}\nUser {user}\nPass {password}\n\
             AuthMechs LOGIN\n\n\
             MaildirStore near\nPath near/\nInbox near/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nCopyArrivalDate yes\n\
             SyncState *\n"
        );
        self.folder.write("mbsyncrc", &configuration);
        let mut mbsync = program_in(self.folder, "mbsync");
        let ended = run(mbsync.args(["--debug-net", "--config", "mbsyncrc", "--all"]));
        assert_eq!(ended.status, 0, "stdout:\n{}\nstderr:\n{}", ended.out, ended.err);
        let sent = ended.out.lines().filter_map(|line| line.split_once(">>> ")).map(|(_, sent)| sent);
        sent.map(str::to_owned).collect()
    }

    /// Runs mbsync once more: it looks, and has nothing to do on either side.
    #[track_caller]
    pub(super) fn mbsync_transfers_nothing(&self, names: &[&str]) {
        let (there, here) = (self.snapshot(), near(self.folder));
        assert!(here.len() > 2 * names.len(), "{:#?}", here.keys());
        let sent = self.mbsync();
        assert_same(&there, &self.snapshot());
        let after = near(self.folder);
        assert_eq!(after.keys().collect::<Vec<_>>(), here.keys().collect::<Vec<_>>());
        let written = after.iter().filter(|(path, file)| here[*path] != **file).map(|(path, _)| path);
        assert_eq!(written.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
        for name in names {
            let command = format!(" SELECT \"{name}\"");
            assert!(sent.iter().any(|sent| sent.contains(&command)), "no {command}: {sent:#?}");
        }
        for command in &sent {
            for word in ["APPEND", "STORE", "COPY", "MOVE", "EXPUNGE", "CREATE", "BODY"] {
                assert!(!command.contains(word), "{command}");
            }
        }
    }
}

/// All files of the Maildir, mbsync's own among them: when they were written, and their content.
fn near(folder: &Folder) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let files = files_under(&folder.path().join("near")).into_iter();
    files
        .map(|path| {
            let written = path.metadata().unwrap().modified().unwrap();
            let content = std::fs::read(&path).unwrap();
            (path, (written, content))
        })
        .collect()
}

/// What `fill.py` makes.
const NAMES: [&str; 4] = ["INBOX", "Work", "Work/Gr&APYA3w-e", "&U,BTFw-/&ZeVnLIqe-"];

/// First with Dovecot, then with imapper, then with Dovecot again.
fn does_not_notice(layout: Layout) {
    let mail = Mail::new(layout);
    let dovecot = mail.dovecot();
    dovecot.python_to_its_end("fill.py", &[]);
    dovecot.python_to_its_end("mbsync.py", &["begin", "INBOX"]);
    dovecot.mbsync();
    dovecot.python_to_its_end("mbsync.py", &["compare"]);
    // So it is with one and the same server, too.
    dovecot.mbsync_transfers_nothing(&NAMES);
    dovecot.stop();

    let imapper = mail.imapper();
    imapper.mbsync_transfers_nothing(&NAMES);
    imapper.python_to_its_end("mbsync.py", &["change", "1"]);
    let sent = imapper.mbsync();
    for word in ["APPEND", "STORE", "BODY", "CREATE"] {
        assert!(sent.iter().any(|command| command.contains(word)), "no {word}: {sent:#?}");
    }
    imapper.python_to_its_end("mbsync.py", &["compare"]);
    imapper.mbsync_transfers_nothing(&NAMES);
    imapper.stop();

    let dovecot = mail.dovecot();
    dovecot.mbsync_transfers_nothing(&NAMES);
    dovecot.python_to_its_end("mbsync.py", &["change", "2"]);
    dovecot.mbsync();
    dovecot.python_to_its_end("mbsync.py", &["compare"]);
    dovecot.stop();

    let imapper = mail.imapper();
    imapper.mbsync_transfers_nothing(&NAMES);
    imapper.stop();
}

#[test]
fn with_state_from_dovecot_nothing_is_transferred_in_maildir_plus_plus() {
    does_not_notice(Layout::MaildirPlusPlus);
}

#[test]
fn with_state_from_dovecot_nothing_is_transferred_in_nested_folders() {
    does_not_notice(Layout::Fs);
}
