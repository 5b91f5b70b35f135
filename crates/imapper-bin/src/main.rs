//! The `imapper` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    imapper_bin::run(imapper_bin::builtin())
}
