//! Mail clients that others wrote, against the built binary. Each runs with the log at trace level and the
//! traffic on the console, and each looks afterwards whether a secret of its user stands there.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::program::{Ended, Folder, Running};

mod curl;
mod imapflow;
mod imaplib;
mod log;
mod mbsync;

const USER: &str = "polly@example.test";
/// Nothing else in a log or a message looks like it; the octets that a quoted string must escape are in it.
const PASSWORD: &str = "Zq7-\"parrot\\sketch\" 4Vx";
/// What a client may try in its place.
const WRONG_PASSWORD: &str = "Wk9-dead-parrot-8Jd";

const CONFIG: &str = r#"
    [[listener]]
    address = "127.0.0.1:0"
    tls = "none"
    [[listener]]
    address = "127.0.0.1:0"
    tls = "starttls"
    [[listener]]
    address = "127.0.0.1:0"
    tls = "implicit"
    [tls]
    certificate = "cert.pem"
    key = "key.pem"
    [storage]
    plugin = "memory"
    [users]
    plugin = "static"
    accounts_file = "users"
    [log]
    level = "trace"
"#;

/// A server with one user and no mail.
struct Site {
    folder: Folder,
    server: Running,
}

impl Site {
    fn new() -> Self {
        Self::serving(|folder| folder.serve(["--debug"], 3))
    }

    /// With exactly those extensions.
    fn with_plugins(plugins: &str) -> Self {
        Self::serving(|folder| folder.serve(["--debug", "--plugin", plugins], 3))
    }

    fn serving(serve: impl FnOnce(&Folder) -> Running) -> Self {
        let folder = Folder::new();
        folder.write("imapper.toml", CONFIG);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        folder.write("cert.pem", &made.cert.pem());
        folder.write("key.pem", &made.signing_key.serialize_pem());
        folder.write("users", &format!("{USER}:{}\n", bcrypt::hash(PASSWORD, 4).unwrap()));
        let server = serve(&folder);
        Self { folder, server }
    }

    fn plain_port(&self) -> u16 {
        self.server.addresses[0].port()
    }

    fn starttls_port(&self) -> u16 {
        self.server.addresses[1].port()
    }

    fn tls_port(&self) -> u16 {
        self.server.addresses[2].port()
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// A program in the site's folder, with nothing of its user's own configuration.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command
    }

    /// A Python script of ours, by its path from here.
    fn python(&self, script: &str) -> Command {
        let mut command = self.script("python3", script);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        command
    }

    /// A script of ours, by its path from here, with what it needs to know in its environment.
    fn script(&self, language: &str, script: &str) -> Command {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(script);
        let mut command = self.program(language);
        command.arg(path);
        command
            .env("SITE_USER", USER)
            .env("SITE_PASSWORD", PASSWORD)
            .env("SITE_WRONG_PASSWORD", WRONG_PASSWORD);
        command.env("SITE_CERTIFICATE", self.certificate());
        for (name, port) in [
            ("SITE_PLAIN_PORT", self.plain_port()),
            ("SITE_STARTTLS_PORT", self.starttls_port()),
            ("SITE_TLS_PORT", self.tls_port()),
        ] {
            command.env(name, port.to_string());
        }
        command
    }

    /// Stops the server, and looks for secrets in all that it wrote. Gives that.
    #[track_caller]
    fn stop(self) -> Ended {
        let ended = self.server.stop();
        assert_eq!(ended.status, 0, "{}", ended.err);
        // Without traffic and log there would be nothing to find.
        for part in [" R: ", " S: ", " OK ", " \"***\""] {
            assert!(ended.out.contains(part), "{part:?} is not in the traffic:\n{}", ended.out);
        }
        for part in [" INFO ", " DEBUG ", USER] {
            assert!(ended.err.contains(part), "{part:?} is not in the log:\n{}", ended.err);
        }
        assert_eq!(secrets_in(&ended), Vec::<String>::new(), "in {}\n{}", ended.out, ended.err);
        ended
    }
}

/// The lines in which a password stands, as it is or in any encoding that goes over the wire.
fn secrets_in(ended: &Ended) -> Vec<String> {
    let forms = [PASSWORD, WRONG_PASSWORD].into_iter().flat_map(forms_of).collect::<Vec<_>>();
    let has_one = |line: &&str| forms.iter().any(|form| line.contains(form.as_str()));
    ended.out.lines().chain(ended.err.lines()).filter(has_one).map(str::to_owned).collect()
}

/// A password as it is, quoted, quoted again by the log, and in base64 after 0, 1 or 2 octets of something else.
fn forms_of(password: &str) -> Vec<String> {
    let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
    let twice = quoted.replace('\\', "\\\\").replace('"', "\\\"");
    let mut forms = vec![password.to_owned(), quoted, twice];
    for before in 0..3 {
        let encoded = STANDARD.encode(["x".repeat(before).as_bytes(), password.as_bytes()].concat());
        // The characters at the ends hold bits of what stands before and after.
        let inner = encoded.trim_end_matches('=').get([0, 2, 3][before]..).unwrap();
        forms.push(inner[..inner.len() - 1].to_owned());
    }
    forms
}

/// How long a client may take: the slowest takes seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs a client to its end. One that is not installed is a failure: nothing is left out in silence.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{name} is not installed: `cargo xtask ci` installs it")
        }
        Err(error) => panic!("{name} can't be started: {error}"),
    };
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = receiver.recv_timeout(PATIENCE) {
        return Ended::from(output.unwrap());
    }
    let _ = Command::new("kill").args(["-s", "KILL", &id.to_string()]).status();
    let ended = receiver.recv_timeout(PATIENCE).ok().and_then(Result::ok).map(Ended::from);
    panic!("{name} did not end within {PATIENCE:?}: {ended:#?}")
}

/// Runs a client that must not fail; gives its standard output.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.status, 0, "{command:?}\nstdout:\n{}\nstderr:\n{}", ended.out, ended.err);
    ended.out
}

#[test]
fn a_password_in_a_log_is_found() {
    let ended = |out: &str, err: &str| Ended { status: 0, out: out.to_owned(), err: err.to_owned() };
    assert!(secrets_in(&ended("1 R: a LOGIN polly \"***\"", "INFO a user logged in")).is_empty());
    let initial = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let named = STANDARD.encode(format!("{USER}\0{USER}\0{PASSWORD}"));
    let wrong = STANDARD.encode(format!("\0{USER}\0{WRONG_PASSWORD}"));
    let alone = STANDARD.encode(PASSWORD);
    let quoted = r#"1 R: a LOGIN polly "Zq7-\"parrot\\sketch\" 4Vx""#;
    for secret in [PASSWORD, WRONG_PASSWORD, quoted, &initial, &named, &wrong, &alone, &format!("{quoted:?}")]
    {
        let line = format!("before {secret} after");
        assert_eq!(secrets_in(&ended(&format!("one\n{line}\nthree"), "")), [line.as_str()]);
        assert_eq!(secrets_in(&ended("", &line)), [line.as_str()]);
    }
}

#[test]
#[should_panic(expected = "no-such-mail-client is not installed: `cargo xtask ci` installs it")]
fn a_client_that_is_not_installed_is_a_failure() {
    run(&mut Command::new("no-such-mail-client"));
}
