//! curl: `imap://` and `imaps://`.

use std::process::Command;

use super::{PASSWORD, Site, USER, WRONG_PASSWORD, run, succeed};

const MESSAGE: &str =
    "From: a@b.example\r\nSubject: from curl\r\n\r\nBody with \u{e4}\u{f6}\u{fc}.\r\n.\r\nend\r\n";

/// Exit statuses of curl, by its manual.
const UPLOAD_FAILED: i32 = 25;
const COMMAND_REFUSED: i32 = 21;
const NOT_TRUSTED: i32 = 60;
const NO_TLS: i32 = 64;
const LOGIN_DENIED: i32 = 67;
const NOT_FOUND: i32 = 78;

impl Site {
    /// curl with these arguments, a `~` in the last of which stands for the server without TLS.
    fn curl(&self, arguments: &[&str]) -> Command {
        self.curl_as(PASSWORD, arguments)
    }

    fn curl_as(&self, password: &str, arguments: &[&str]) -> Command {
        let mut command = self.program("curl");
        command.args(["--disable", "--silent", "--show-error", "--max-time", "60", "--noproxy", "*"]);
        command.args(["--user", &format!("{USER}:{password}")]);
        let base = format!("imap://127.0.0.1:{}", self.plain_port());
        command.args(arguments.iter().map(|argument| match argument.strip_prefix('~') {
            Some(rest) => format!("{base}{rest}"),
            None => (*argument).to_owned(),
        }));
        command
    }

    /// What curl prints.
    #[track_caller]
    fn curled(&self, arguments: &[&str]) -> String {
        succeed(&mut self.curl(arguments))
    }

    /// A site with one message in INBOX.
    fn with_message() -> Self {
        let site = Self::new();
        site.folder.write("message.eml", MESSAGE);
        assert_eq!(site.curled(&["--upload-file", "message.eml", "~/INBOX"]), "");
        site
    }
}

const INBOX: &str = "* LIST (\\HasNoChildren) \"/\" INBOX\r\n";

#[test]
fn mailboxes() {
    let site = Site::new();
    assert_eq!(site.curled(&["~"]), INBOX);
    assert_eq!(site.curled(&["--request", "CREATE work/later", "~"]), "");
    let listed = site.curled(&["~/work"]);
    assert!(listed.contains("/later\r\n") || listed.contains(" work"), "{listed}");
    let listed = site.curled(&["--request", "LIST \"\" *", "~"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert_eq!(
        site.curled(&["--request", "STATUS work/later (MESSAGES UIDNEXT)", "~"]),
        "* STATUS work/later (MESSAGES 0 UIDNEXT 1)\r\n"
    );
    let examined = site.curled(&["--request", "EXAMINE INBOX", "~"]);
    for part in ["* 0 EXISTS\r\n", "* FLAGS (", "[UIDVALIDITY ", "[UIDNEXT 1]", "[PERMANENTFLAGS ()]"] {
        assert!(examined.contains(part), "{part:?} is not in {examined}");
    }
    assert_eq!(run(&mut site.curl(&["--request", "NONSENSE", "~"])).status, COMMAND_REFUSED);
    assert_eq!(run(&mut site.curl(&["--request", "DELETE nowhere", "~"])).status, COMMAND_REFUSED);
    site.stop();
}

#[test]
fn messages() {
    let site = Site::with_message();
    let (header, text) = MESSAGE.split_once("\r\n\r\n").unwrap();
    assert_eq!(site.curled(&["~/INBOX;UID=1"]), MESSAGE);
    assert_eq!(site.curled(&["~/INBOX;MAILINDEX=1"]), MESSAGE);
    assert_eq!(site.curled(&["~/INBOX;MAILINDEX=1;SECTION=TEXT"]), text);
    assert_eq!(site.curled(&["~/INBOX;UID=1;SECTION=HEADER"]), format!("{header}\r\n\r\n"));
    let subject = site.curled(&["~/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)"]);
    assert_eq!(subject, "Subject: from curl\r\n\r\n");
    assert_eq!(site.curled(&["~/INBOX;UID=1;PARTIAL=6.11"]), MESSAGE[6..17]);
    assert_eq!(site.curled(&["~/INBOX?ALL"]), "* SEARCH 1\r\n");
    assert_eq!(site.curled(&["~/INBOX?SUBJECT%20curl%20LARGER%205000"]), "* SEARCH\r\n");

    for missing in ["~/INBOX;UID=2", "~/INBOX;UIDVALIDITY=1;UID=1"] {
        assert_eq!(run(&mut site.curl(&[missing])).status, NOT_FOUND, "{missing}");
    }
    let ended = run(&mut site.curl(&["~/nowhere;UID=1"]));
    assert!(ended.status == LOGIN_DENIED && ended.err.contains("Select failed"), "{ended:?}");
    let ended = run(&mut site.curl(&["--upload-file", "message.eml", "~/nowhere"]));
    assert_eq!(ended.status, UPLOAD_FAILED, "{ended:?}");

    // Two transfers of one run go over one connection.
    assert_eq!(site.curled(&["~/INBOX;UID=1", "~/INBOX;UID=1;SECTION=TEXT"]), format!("{MESSAGE}{text}"));
    site.stop();
}

#[test]
fn commands_of_ones_own() {
    let site = Site::with_message();
    let curled = |request| site.curled(&["--request", request, "~/INBOX"]);
    // The first session to select the mailbox is the one that sees \Recent.
    assert_eq!(curled("STORE 1 FLAGS (\\Flagged)"), "* 1 FETCH (FLAGS (\\Flagged \\Recent))\r\n");
    assert_eq!(curled("UID FETCH 1:* (UID FLAGS)"), "* 1 FETCH (UID 1 FLAGS (\\Flagged))\r\n");
    // curl shows only responses that answer the command by name.
    assert_eq!(curled("COPY 1 INBOX"), "");
    assert!(curled("STORE 1 +FLAGS.SILENT \\Deleted").is_empty());
    assert_eq!(curled("EXPUNGE"), "* 1 EXPUNGE\r\n");
    assert_eq!(curled("SEARCH FLAGGED"), "* SEARCH 1\r\n");
    assert_eq!(site.curled(&["~/INBOX;UID=2"]), MESSAGE);
    site.stop();
}

#[test]
fn tls_from_the_first_byte_and_by_starttls() {
    let site = Site::with_message();
    let implicit = format!("imaps://127.0.0.1:{}", site.tls_port());
    let starttls = format!("imap://127.0.0.1:{}", site.starttls_port());
    let message = format!("{implicit}/INBOX;UID=1");
    assert_eq!(site.curled(&["--cacert", "cert.pem", &implicit]), INBOX);
    assert_eq!(site.curled(&["--cacert", "cert.pem", &message]), MESSAGE);
    assert_eq!(site.curled(&["--cacert", "cert.pem", "--tls-max", "1.2", &implicit]), INBOX);
    assert_eq!(site.curled(&["--cacert", "cert.pem", "--ssl-reqd", &starttls]), INBOX);
    assert_eq!(site.curled(&["--cacert", "cert.pem", "--ssl-reqd", "--sasl-ir", &starttls]), INBOX);

    assert_eq!(run(&mut site.curl(&[&implicit])).status, NOT_TRUSTED);
    assert_eq!(run(&mut site.curl(&["--ssl-reqd", &starttls])).status, NOT_TRUSTED);
    assert_eq!(run(&mut site.curl(&["--cacert", "cert.pem", "--ssl-reqd", "~"])).status, NO_TLS);
    site.stop();
}

#[test]
fn a_wrong_password_is_denied() {
    let site = Site::new();
    for options in [&["~"][..], &["--sasl-ir", "~"], &["--login-options", "AUTH=PLAIN", "~"]] {
        assert_eq!(site.curled(options), INBOX);
        let ended = run(&mut site.curl_as(WRONG_PASSWORD, options));
        assert_eq!((ended.status, ended.out.as_str()), (LOGIN_DENIED, ""), "{ended:?}");
    }
    // A mechanism that the server does not have.
    assert_eq!(run(&mut site.curl(&["--login-options", "AUTH=CRAM-MD5", "~"])).status, LOGIN_DENIED);
    site.stop();
}
