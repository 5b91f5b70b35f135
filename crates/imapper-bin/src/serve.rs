//! `imapper serve`: serves until a signal comes.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::builtin::Builtin;
use crate::command::print;
use crate::config::tls_word;
use crate::error::Failure;
use crate::server::{Configuration, Server};
use crate::{log, open_files};

pub(crate) async fn run(builtin: Builtin, configuration: Configuration) -> Result<(), Failure> {
    let config = configuration.load()?;
    log::start(config.log);
    // Before the first line that tells others that we are here.
    let receive =
        |kind| signal(kind).map_err(|error| Failure::Running(format!("signals can't be received: {error}")));
    let mut stop =
        Stop { terminate: receive(SignalKind::terminate())?, interrupt: receive(SignalKind::interrupt())? };
    let mut hangup = receive(SignalKind::hangup())?;

    if let Some(warning) = open_files::allow(config.limits.core.connections) {
        tracing::warn!("{warning}");
    }
    let mut server = Server::start_with(builtin, configuration, &config).await?;
    if config.throwaway_user {
        print("imapper: user testuser, password testpass, token testtoken");
    }
    for (address, mode) in server.listening() {
        print(&format!("imapper: listening on {address} (imap, {})", tls_word(*mode)));
    }
    loop {
        tokio::select! {
            () = stop.asked() => break,
            // A user database that is away must not keep the server from stopping.
            _ = hangup.recv() => tokio::select! {
                () = stop.asked() => break,
                () = server.reload() => {}
            },
            () = server.stopped() => break,
        }
    }
    tracing::info!("stopping");
    tokio::select! {
        finished = server.stop() => {
            if !finished {
                tracing::warn!("some clients did not finish in time");
            }
            Ok(())
        }
        () = stop.asked() => {
            let why = "told to stop once more: ending at once, though some clients have not finished";
            tracing::warn!("{why}");
            Err(Failure::Running(why.to_owned()))
        }
    }
}

/// The signals that ask the server to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Resolves with each of them.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
