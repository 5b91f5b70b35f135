//! A server as the command runs it: opened by a configuration, listening, and able to read it anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use imapper_core::{Address, TlsMode};
use tokio::task::JoinHandle;

use crate::builtin::Builtin;
use crate::cli::Options;
use crate::config::{Config, Problem};
use crate::error::Failure;
use crate::parts::Parts;
use crate::tls::{self, Certificate};
use crate::users::Reloadable;

/// How long a session may take to finish what it does when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Where a configuration comes from. It is read when a server starts, and again on [`Server::reload`].
#[derive(Clone, Debug)]
pub struct Configuration(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Flags and variables, and the file that they name.
    Options(Box<Options>),
    /// A text; relative paths in it begin at the working directory.
    Text { text: String, is_json: bool },
}

impl Configuration {
    /// A file, as `--config` takes it: JSON if its name ends in `.json`, else TOML.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::of(Options { config: Some(path.into()), ..Options::default() })
    }

    /// A text in TOML.
    pub fn from_toml(text: impl Into<String>) -> Self {
        Self(Source::Text { text: text.into(), is_json: false })
    }

    /// A text in JSON.
    pub fn from_json(text: impl Into<String>) -> Self {
        Self(Source::Text { text: text.into(), is_json: true })
    }

    pub(crate) fn of(options: Options) -> Self {
        Self(Source::Options(Box::new(options)))
    }

    pub(crate) fn load(&self) -> Result<Config, Vec<Problem>> {
        // Paths are shown as they were given, so the working directory is not put before them.
        let here = Path::new("");
        match &self.0 {
            Source::Options(options) => Config::load(options, here),
            Source::Text { text, is_json } => {
                Config::parse("the configuration", text, *is_json, here, &Options::default())
            }
        }
    }
}

/// A running server. It stops when it is dropped; [`Server::stop`] lets clients finish first.
pub struct Server {
    builtin: Builtin,
    configuration: Configuration,
    core: imapper_core::Server,
    listening: Vec<(Address, TlsMode)>,
    users: Arc<Reloadable>,
    certificate: Option<Arc<Certificate>>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Opens what the configuration names, listens, and serves.
    pub async fn start(builtin: Builtin, configuration: Configuration) -> Result<Self, Failure> {
        let config = configuration.load()?;
        Self::start_with(builtin, configuration, &config).await
    }

    pub(crate) async fn start_with(
        builtin: Builtin,
        configuration: Configuration,
        config: &Config,
    ) -> Result<Self, Failure> {
        tls::install_provider();
        let parts = Parts::open(&builtin, config).await?;
        for warning in &parts.warnings {
            tracing::warn!("{warning}");
        }
        for note in &parts.notes {
            tracing::info!("{note}");
        }
        let (users, certificate) = (Arc::clone(&parts.users), parts.certificate.clone());
        let core = parts.build(config)?;
        let failed = |error: std::io::Error| {
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    " (a port above 1023 needs no privileges: `--port 1143`)"
                }
                _ => "",
            };
            Failure::Running(format!("{error}{hint}"))
        };
        let bound = core.bind().await.map_err(failed)?;
        let modes = config.listeners.iter().map(|listener| listener.tls);
        let listening = bound.addresses().map_err(failed)?.into_iter().zip(modes).collect();
        let accepting = tokio::spawn(bound.run());
        Ok(Self { builtin, configuration, core, listening, users, certificate, accepting })
    }

    /// Where it listens, in the order of the configuration, with the ports that were free.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.listening.iter().map(|(address, _)| address)
    }

    pub(crate) fn listening(&self) -> &[(Address, TlsMode)] {
        &self.listening
    }

    /// The server without sockets: it serves any stream, a pipe in memory for one.
    pub fn core(&self) -> &imapper_core::Server {
        &self.core
    }

    /// Reads the certificate and the users anew, as SIGHUP does. What can't be read stays as it was, and the
    /// log tells why. No connection is dropped.
    pub async fn reload(&self) {
        match self.certificate.as_ref().map_or(Ok(false), |certificate| certificate.reload()) {
            Ok(true) => tracing::info!("the certificate has been read anew"),
            Ok(false) => {}
            Err(error) => tracing::error!("the old certificate stays in use: {error}"),
        }
        let users = match self.configuration.load() {
            Ok(config) => self.builtin.open_users(&config.users).await,
            Err(problems) => Err(problems),
        };
        match users {
            Ok(users) => {
                self.users.replace(users);
                self.core.learn_allowances();
                tracing::info!("the users have been read anew");
            }
            Err(problems) => {
                for problem in problems {
                    tracing::error!("the old users stay: {problem}");
                }
            }
        }
    }

    /// Resolves when the server no longer listens, because a client that may has stopped it.
    pub async fn stopped(&mut self) {
        let _ = (&mut self.accepting).await;
    }

    /// Tells all clients to go: what is in flight is finished, 10 s at most. `false` if that was not enough.
    pub async fn stop(mut self) -> bool {
        let finished = async {
            self.core.stop().await;
            // The sockets of listeners go with them. A handle that has told its end must not be asked again.
            if !self.accepting.is_finished() {
                let _ = (&mut self.accepting).await;
            }
        };
        tokio::time::timeout(LAST_WORDS, finished).await.is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let core = self.core.clone();
            runtime.spawn(async move { core.stop().await });
        }
    }
}
