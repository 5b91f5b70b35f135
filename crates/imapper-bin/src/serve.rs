//! `imapper serve`: listens until a signal comes.

use std::path::Path;

use crate::builtin::Builtin;
use crate::cli::Options;
use crate::config::Config;
use crate::error::Failure;
use crate::parts::Parts;

pub(crate) async fn run(builtin: &Builtin, options: &Options, folder: &Path) -> Result<(), Failure> {
    let config = Config::load(options, folder)?;
    crate::log::start(config.log);
    let parts = Parts::open(builtin, &config).await?;
    Ok(())
}
