//! The command: reads arguments and variables, does what they say, and gives the exit status.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::builtin::Builtin;
use crate::cli::{Cli, Command, Options};
use crate::command::{self, check, export, import, passwd, plugins, quickstart};
use crate::error::Failure;
use crate::server::Configuration;
use crate::{serve, tls};

/// Runs the `imapper` command with these plugins: all of `main` but its name.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     imapper_bin::run(imapper_bin::builtin())
/// }
/// ```
pub fn run(builtin: Builtin) -> ExitCode {
    tls::install_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors of clap too, with status 0 and on standard output.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match obey(builtin, cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut err = std::io::stderr().lock();
            for line in failure.to_string().lines() {
                let _ = writeln!(err, "imapper: {line}");
            }
            failure.exit_code()
        }
    }
}

fn obey(builtin: Builtin, cli: Cli) -> Result<(), Failure> {
    let variables = || Options::from_env(|name| std::env::var_os(name));
    let configuration = || -> Result<Configuration, Failure> {
        Ok(Configuration::of(cli.options.clone().over(variables()?)))
    };
    match cli.command {
        None | Some(Command::Serve) => wait(serve::run(builtin, configuration()?)),
        Some(Command::Check) => wait(check::run(&builtin, &configuration()?)),
        Some(Command::Plugins) => {
            plugins::run(&builtin);
            Ok(())
        }
        Some(Command::Passwd(arguments)) => passwd::run(&arguments),
        Some(Command::Quickstart(arguments)) => {
            let options = quickstart::prepare(&builtin, &arguments, cli.options, variables()?)?;
            wait(serve::run(builtin, Configuration::of(options)))
        }
        Some(Command::Import(arguments)) => wait(import::run(&builtin, &configuration()?, &arguments)),
        Some(Command::Export(arguments)) => wait(export::run(&builtin, &configuration()?, &arguments)),
        Some(Command::Doctor(_)) => Err(command::later("doctor", "s3")),
    }
}

/// Runs the asynchronous part.
fn wait(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Running(format!("no threads can be started: {error}")))?;
    let result = runtime.block_on(work);
    // What a client has left running must not hold the end up.
    runtime.shutdown_background();
    result
}
