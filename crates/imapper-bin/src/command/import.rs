//! `imapper import SOURCE`: brings mail into the storage of the configuration.

use super::{account, print};
use crate::builtin::Builtin;
use crate::cli::Import;
use crate::error::Failure;
use crate::log;
use crate::server::Configuration;
use crate::transfer::{
    Form, MaildirSource, MboxSource, Source, StorageTarget, Tally, Which, carry, check_name, read_json,
};

pub(crate) async fn run(
    builtin: &Builtin,
    configuration: &Configuration,
    arguments: &Import,
) -> Result<(), Failure> {
    let (path, transfer) = (&arguments.source, &arguments.transfer);
    let form = transfer.format.map_or_else(|| Form::of_source(path), Ok)?;
    let mailbox = arguments.mailbox.as_deref().map(check_name).transpose()?;
    let config = configuration.load()?;
    log::start(config.log);
    if config.storage.plugin() == "memory" && !transfer.dry_run {
        let what = "the storage \"memory\" would lose all of it at the end of this command: configure another [storage]";
        return Err(Failure::configuration(what));
    }
    let (storage, account) = account::open(builtin, &config, transfer.user.as_deref()).await?;
    let mut which = mailbox.clone().map_or(Which::All, Which::Below);
    let source: Box<dyn Source> = match form {
        Form::Maildir => Box::new(MaildirSource::open(path)?),
        Form::Mbox => {
            let source = MboxSource::open(path, mailbox.as_deref())?;
            if source.is_single() {
                which = Which::All;
            }
            Box::new(source)
        }
        Form::Json => Box::new(read_json(path, account.as_str())?),
    };
    let mut target = StorageTarget::new(storage, account, transfer.dry_run);
    let mut tally = Tally::new();
    let result = carry(&*source, &mut target, &which, &mut tally).await;
    end(result, &tally, if transfer.dry_run { "would have imported" } else { "imported" })
}

/// Prints the summary; what was left out is a failure.
pub(super) fn end(result: Result<(), Failure>, tally: &Tally, verb: &str) -> Result<(), Failure> {
    tally.stop();
    print(&tally.summary(verb));
    result?;
    match tally.failed {
        0 => Ok(()),
        failed => Err(Failure::Running(format!("{failed} could not be carried: they are named above"))),
    }
}
