//! Starts the binary, in a folder and an environment of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// A folder that goes when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("imapper-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The binary in this folder, with none of our variables.
    pub(crate) fn imapper<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imapper"));
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("IMAP_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs it to its end.
    pub(crate) fn run<const N: usize>(&self, arguments: [&str; N]) -> Ended {
        Ended::from(self.imapper(arguments).output().unwrap())
    }

    /// Runs it to its end with something to read.
    pub(crate) fn run_with_input<const N: usize>(&self, arguments: [&str; N], input: &str) -> Ended {
        let mut command = self.imapper(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without having read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ended::from(child.wait_with_output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A server that runs until it is told otherwise; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    out: Lines,
    err: Lines,
    /// Where it listens, in the order of the configuration.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// What comes on a pipe, line by line.
struct Lines {
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl std::io::Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { lines, seen: Vec::new() }
    }

    /// The next line, `None` at the end.
    fn next(&mut self) -> Option<String> {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no line came; before: {:#?}", self.seen),
        };
        self.seen.push(line.clone());
        Some(line)
    }

    fn until(&mut self, part: &str) -> String {
        loop {
            match self.next() {
                Some(line) if line.contains(part) => return line,
                Some(_) => {}
                None => panic!("{part:?} never came, but {:#?}", self.seen),
            }
        }
    }

    fn rest(mut self) -> String {
        while self.next().is_some() {}
        self.seen.join("\n")
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

impl Folder {
    /// Starts a server that listens on so many TCP addresses.
    pub(crate) fn serve<const N: usize>(&self, arguments: [&str; N], listeners: usize) -> Running {
        self.serve_silently(arguments).until_listening(listeners)
    }

    /// Starts a server whose first lines the caller reads.
    pub(crate) fn serve_silently<const N: usize>(&self, arguments: [&str; N]) -> Running {
        Running::start(self.imapper(arguments))
    }

    /// Starts a server as a shell does after `ulimit` with those arguments.
    pub(crate) fn serve_under(&self, ulimit: &str, listeners: usize) -> Running {
        let imapper = self.imapper([]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit {ulimit} && exec \"$0\"")]).arg(imapper.get_program());
        command.current_dir(&self.0).stdin(Stdio::null());
        for (name, _) in imapper.get_envs() {
            command.env_remove(name);
        }
        Running::start(command).until_listening(listeners)
    }
}

impl Running {
    /// Starts a command that is the server, or becomes it; the caller reads its lines.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Self { child, out, err, addresses: Vec::new() }
    }

    /// Reads its lines until it listens on so many TCP addresses.
    pub(crate) fn until_listening(mut self, listeners: usize) -> Self {
        while self.addresses.len() < listeners {
            if let Some(rest) = self.line().strip_prefix("imapper: listening on ") {
                self.addresses.push(rest.split(' ').next().unwrap().parse().unwrap());
            }
        }
        self
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        self.out.next().unwrap_or_else(|| {
            while self.err.next().is_some() {}
            panic!("it has ended: {:#?}", self.err.seen)
        })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal: `TERM`, `INT`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for a line of the log with that in it.
    pub(crate) fn logged(&mut self, part: &str) -> String {
        self.err.until(part)
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let out = std::mem::replace(&mut self.out, Lines::of(std::io::empty())).rest();
        let err = std::mem::replace(&mut self.err, Lines::of(std::io::empty())).rest();
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        Ended { status, out, err }
    }

    /// Tells it to end, and waits.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
