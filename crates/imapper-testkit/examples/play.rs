//! Plays the scripts of the kit against the `imapper` command.
//!
//! ```text
//! cargo run -p imapper-testkit --example play -- target/debug/imapper [WORD…]
//! ```
//!
//! Only scripts whose name holds one of the words are played. Each gets a server of its own, with a
//! configuration file and a fixture in a temporary folder.

use imapper_testkit::{BoxFuture, Connect, NoServer, Server, Setup, Stream, run_scripts, scripts};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, process};
use tokio::net::{TcpListener, TcpStream};

struct Program {
    path: PathBuf,
    folder: PathBuf,
    started: AtomicUsize,
}

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn list(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn configuration(setup: &Setup, address: SocketAddr) -> String {
    let mut text = format!(
        "[[listener]]\nprotocol = \"imap\"\naddress = \"{address}\"\ntls = \"starttls\"\n[protocol]\n"
    );
    if let Some(plugins) = &setup.plugins {
        let _ = writeln!(text, "plugins = [{}]", list(plugins));
    }
    if !setup.without.is_empty() {
        let _ = writeln!(text, "disable = [{}]", list(&setup.without));
    }
    if !setup.limits.is_empty() {
        let _ = writeln!(text, "[limits]");
        for (key, value) in &setup.limits {
            let number = value.parse::<u64>().is_ok();
            let _ =
                if number { writeln!(text, "{key} = {value}") } else { writeln!(text, "{key} = {value:?}") };
        }
    }
    text
}

impl Program {
    async fn launch(&self, setup: &Setup) -> io::Result<Running> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let (config, fixture) =
            (self.folder.join(format!("{number}.toml")), self.folder.join(format!("{number}.json")));
        fs::write(&config, configuration(setup, address))?;
        fs::write(&fixture, &setup.fixture)?;
        let log = fs::File::create(self.folder.join(format!("{number}.log")))?;
        let mut command = Command::new(&self.path);
        command.arg("--config").arg(config).arg("--storage").arg(fixture);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut running = Running { child: command.spawn()?, address };
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = running.child.try_wait()? {
                let log = fs::read_to_string(self.folder.join(format!("{number}.log")))?;
                return Err(io::Error::other(format!("it ended with {status}: {log}")));
            }
            tokio::task::yield_now().await;
        }
        Ok(running)
    }
}

impl Server for Program {
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async move {
            if setup.users != [("testuser".to_owned(), "testpass".to_owned())] {
                return Err(NoServer::Unsupported("other users than testuser".into()));
            }
            if setup.tokens.iter().any(|(user, token)| user != "testuser" || token != "testtoken") {
                return Err(NoServer::Unsupported("another token than testuser's".into()));
            }
            let running = self.launch(setup).await.map_err(|error| NoServer::Failed(error.to_string()))?;
            Ok(Box::new(running) as Box<dyn Connect>)
        })
    }
}

impl Connect for Running {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let Some(path) = words.next() else {
        eprintln!("play PATH-OF-IMAPPER [WORD…]");
        return ExitCode::from(2);
    };
    let words: Vec<String> = words.collect();
    let folder = env::temp_dir().join(format!("imapper-play-{}", process::id()));
    let prepared = fs::create_dir_all(&folder).map_err(|error| error.to_string());
    let all = prepared.and_then(|()| scripts().map_err(|error| error.to_string()));
    let code = match all {
        Ok(mut all) => {
            all.retain(|script| {
                words.is_empty() || words.iter().any(|word| script.name.contains(word.as_str()))
            });
            let program = Program { path: path.into(), folder: folder.clone(), started: AtomicUsize::new(0) };
            let report = run_scripts(&all, &program).await;
            println!("{report}");
            ExitCode::from(u8::from(!report.failures.is_empty()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    };
    let _ = fs::remove_dir_all(folder);
    code
}
