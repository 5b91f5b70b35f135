//! `imapper export TARGET`: writes mail of the storage of the configuration to files.

use super::account;
use super::import::end;
use crate::builtin::Builtin;
use crate::cli::Export;
use crate::error::Failure;
use crate::log;
use crate::server::Configuration;
use crate::transfer::{
    Form, JsonTarget, MaildirTarget, MboxTarget, Source as _, StorageSource, Tally, Target, Which, carry,
    check_name,
};

pub(crate) async fn run(
    builtin: &Builtin,
    configuration: &Configuration,
    arguments: &Export,
) -> Result<(), Failure> {
    let (path, transfer) = (&arguments.target, &arguments.transfer);
    let form = transfer.format.map_or_else(|| Form::of_target(path), Ok)?;
    let mailbox = arguments.mailbox.as_deref().map(check_name).transpose()?;
    let config = configuration.load()?;
    log::start(config.log);
    let (storage, account) = account::open(builtin, &config, transfer.user.as_deref()).await?;
    let source = StorageSource::new(storage, account);
    let dry = transfer.dry_run;
    let is_single = mailbox.is_some();
    let which = mailbox.map_or(Which::All, Which::Only);
    let mut target: Box<dyn Target> = match form {
        Form::Maildir => Box::new(MaildirTarget::new(path, dry)?),
        Form::Mbox => Box::new(MboxTarget::new(path, is_single, dry)?),
        Form::Json => Box::new(JsonTarget::new(path, source.subscriptions().await?, dry)?),
    };
    let mut tally = Tally::new();
    let result = carry(&source, &mut *target, &which, &mut tally).await;
    end(result, &tally, if dry { "would have exported" } else { "exported" })
}
