//! `imapper serve`: serves until a signal comes.

use tokio::signal::unix::{SignalKind, signal};

use crate::builtin::Builtin;
use crate::command::print;
use crate::config::tls_word;
use crate::error::Failure;
use crate::log;
use crate::server::{Configuration, Server};

pub(crate) async fn run(builtin: Builtin, configuration: Configuration) -> Result<(), Failure> {
    let config = configuration.load()?;
    log::start(config.log);
    // Before the first line that tells others that we are here.
    let failed = |error: std::io::Error| Failure::Running(format!("signals can't be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;

    let mut server = Server::start_with(builtin, configuration, &config).await?;
    if config.throwaway_user {
        print("imapper: user testuser, password testpass, token testtoken");
    }
    for (address, mode) in server.listening() {
        print(&format!("imapper: listening on {address} (imap, {})", tls_word(*mode)));
    }
    let told_to_stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(told_to_stop);
    loop {
        tokio::select! {
            () = &mut told_to_stop => break,
            // A user database that is away must not keep the server from stopping.
            _ = hangup.recv() => tokio::select! {
                () = &mut told_to_stop => break,
                () = server.reload() => {}
            },
            () = server.stopped() => break,
        }
    }
    tracing::info!("stopping");
    if !server.stop().await {
        tracing::warn!("some clients did not finish in time");
    }
    Ok(())
}
