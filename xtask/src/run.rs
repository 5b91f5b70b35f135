//! Running a program so that what it prints stays visible, and its failure is one clear line.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A program that runs at the root of the workspace.
pub(crate) fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    command
}

/// The cargo that runs us, so that a toolchain chosen by the caller holds for each step.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    program(&cargo, args)
}

/// Runs to the end; what is printed goes straight through.
pub(crate) fn run(mut command: Command) -> Result {
    let shown = shown(&command);
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(why) => Err(format!("`{shown}` could not be started: {why}")),
    }
}

/// Runs to the end and returns what was printed on standard output.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let shown = shown(&command);
    match command.stdin(Stdio::null()).output() {
        Ok(out) if out.status.success() => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        Ok(out) => {
            let told = String::from_utf8_lossy(&out.stderr);
            Err(format!("`{shown}` failed ({}): {}", out.status, told.trim()))
        }
        Err(why) => Err(format!("`{shown}` could not be started: {why}")),
    }
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut line = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_status() {
        let error = run(program("false", &["--now"])).unwrap_err();
        assert!(error.starts_with("`false --now` failed"), "{error}");
        let error = run(program("no-such-program-here", &[])).unwrap_err();
        assert!(error.contains("could not be started"), "{error}");
    }

    #[test]
    fn output_is_what_was_printed() {
        assert_eq!(output(program("echo", &["a", "b"])).unwrap(), "a b\n");
    }
}
