//! `NeoMutt`, which works over IMAP, and as well in the Maildir itself.

use crate::client::Client;
use crate::clients::run;
use crate::program::Folder;

use super::{Layout, Mail, PASSWORD, Site, USER, program_in};

/// It asks nothing, and changes nothing that it was not told to.
const SETTINGS: &str = "\
    set confirmappend=no confirmcreate=no delete=yes quit=yes move=no mark_old=no wait_key=no\n\
    set pipe_decode=no sort=subject header_cache=\"\" mbox_type=Maildir sleep_time=0\n";

impl Site<'_> {
    /// Where the mail lies.
    fn place(&self) -> String {
        let Self { user, password, .. } = self;
        let (host, port) = (self.host(), self.address.port());
        let tls = match &self.certificate {
            Some(path) => {
                format!("set ssl_starttls=yes ssl_force_tls=yes certificate_file=\"{}\"", path.display())
            }
            None => "set ssl_starttls=no ssl_force_tls=no".to_owned(),
        };
        format!(
            "{tls}\nset folder=\"imap://{host}:{port}/\" spoolfile=\"=INBOX\"\n\
             set imap_user={user:?} imap_pass={password:?} imap_authenticators=\"login\"\n"
        )
    }

    /// What it does to the mail of `neomutt.py fill`.
    #[track_caller]
    pub(super) fn neomutt_over_imap(&self) {
        let (folder, place) = (self.folder, self.place());
        neomutt_showing(folder, &place, "=INBOX", "<change-folder>?<toggle-mailboxes>", ["Archiv", "qq"]);
        neomutt(
            folder,
            &place,
            "=INBOX",
            "<tag-pattern>~A<enter><tag-prefix><pipe-message>cat >seen<enter><untag-pattern>~A<enter>\
             /message 1<enter><flag-message>/message 2<enter><copy-message>=Archiv/Übersicht<enter>\
             /message 3<enter><delete-message><sync-mailbox><quit>",
        );
        let seen = folder.read("seen");
        let bodies: Vec<_> = seen.lines().filter(|line| line.starts_with("body ")).collect();
        assert_eq!(bodies, ["body 1", "body 2", "body 3"]);
        neomutt(folder, &place, "local.mbox", "<copy-message>=Archiv/Übersicht<enter><quit>");
        self.python_to_its_end("neomutt.py", &["check"]);
    }
}

/// Runs it with the keys that a user would press.
#[track_caller]
fn neomutt(folder: &Folder, place: &str, mailbox: &str, keys: &str) {
    neomutt_showing(folder, place, mailbox, keys, ["", ""]);
}

/// The same, and when it has shown something, presses more keys. What it would draw between two keys of the first
/// it does not draw.
#[track_caller]
fn neomutt_showing(folder: &Folder, place: &str, mailbox: &str, keys: &str, [part, more]: [&str; 2]) {
    folder.write("muttrc", &format!("{SETTINGS}{place}"));
    let mut terminal = program_in(folder, "python3");
    terminal.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/maildir/terminal.py"));
    terminal.args([
        part,
        more,
        "neomutt",
        "-n",
        "-F",
        "muttrc",
        "-f",
        mailbox,
        "-e",
        &format!("push '{keys}'"),
    ]);
    // Names are typed in UTF-8.
    terminal.env("LC_ALL", "C.UTF-8");
    let ended = run(&mut terminal);
    assert_eq!(ended.status, 0, "it showed: {}\n{}", ended.out, ended.err);
    assert!(ended.out.contains(part), "{part:?} is not in {}", ended.out);
}

#[test]
fn over_imap_it_reads_the_list_and_flags_copies_deletes_and_uploads() {
    let mail = Mail::new(Layout::MaildirPlusPlus);
    let imapper = mail.imapper();
    imapper.python_to_its_end("neomutt.py", &["fill"]);
    imapper.neomutt_over_imap();
    imapper.stop();

    // And Dovecot sees it so.
    let dovecot = mail.dovecot();
    dovecot.python_to_its_end("neomutt.py", &["check"]);
    dovecot.stop();
}

/// A session that waits in a mailbox with so many messages.
fn idle(site: &Site<'_>, mailbox: &str, messages: u32) -> Client {
    let mut client = Client::connect(site.address);
    assert!(client.ask(&format!("a LOGIN {USER} {PASSWORD}")).contains("a OK"));
    assert!(client.ask(&format!("b SELECT {mailbox}")).contains(&format!("* {messages} EXISTS")));
    client.send("c IDLE");
    until(&mut client, |line| line.starts_with("+ "));
    client
}

/// What it does in the Maildir is told to those who wait.
fn beside(layout: Layout, archive: &str) {
    let mail = Mail::new(layout);
    let imapper = mail.imapper();
    imapper.python_to_its_end("neomutt.py", &["fill"]);
    let (mut waiting, mut filed) =
        (idle(&imapper, "INBOX", 3), idle(&imapper, "\"Archiv/&ANw-bersicht\"", 0));

    let (inbox, archive) = (mail.root(), mail.root().join(archive));
    let (inbox, archive) = (inbox.display(), archive.display());
    neomutt(&mail.folder, "", &inbox.to_string(), "/message 1<enter><flag-message><sync-mailbox><quit>");
    let line = until(&mut waiting, |line| line.starts_with("* 1 FETCH"));
    assert!(line.contains("\\Flagged") && line.contains("keyword"), "{line}");

    neomutt(&mail.folder, "", "local.mbox", &format!("<copy-message>{inbox}<enter><quit>"));
    until(&mut waiting, |line| line == "* 4 EXISTS\r\n");

    let keys = format!(
        "/message 2<enter><copy-message>{archive}<enter>/message 3<enter><delete-message><sync-mailbox><quit>"
    );
    neomutt(&mail.folder, "", &inbox.to_string(), &keys);
    until(&mut waiting, |line| line == "* 3 EXPUNGE\r\n");
    until(&mut filed, |line| line == "* 1 EXISTS\r\n");

    waiting.send("DONE");
    until(&mut waiting, |line| line.starts_with("c OK"));
    assert!(waiting.ask("d UID SEARCH ALL").contains("* SEARCH 1 2 4\r\n"));
    assert!(waiting.ask("e LOGOUT").contains("e OK"));
    imapper.python_to_its_end("neomutt.py", &["beside"]);
    imapper.stop();

    let dovecot = mail.dovecot();
    dovecot.python_to_its_end("neomutt.py", &["beside"]);
    dovecot.stop();
}

/// Reads on; others may be told before.
#[track_caller]
fn until(client: &mut Client, wanted: impl Fn(&str) -> bool) -> String {
    let mut before = Vec::new();
    loop {
        let line = client.line();
        if wanted(&line) {
            return line;
        }
        before.push(line);
        assert!(before.len() < 20 && !before.contains(&String::new()), "{before:#?}");
    }
}

#[test]
fn what_it_does_in_the_maildir_itself_is_told_to_who_waits() {
    beside(Layout::MaildirPlusPlus, ".Archiv.&ANw-bersicht");
}

#[test]
fn what_it_does_in_nested_folders_themselves_is_told_to_who_waits() {
    beside(Layout::Fs, "Archiv/&ANw-bersicht");
}
