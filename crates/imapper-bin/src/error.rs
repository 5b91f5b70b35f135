//! Why a command ends other than well.

use std::fmt;
use std::process::ExitCode;

use crate::config::Problem;

/// A failure, by whose it is.
#[derive(Debug)]
pub enum Failure {
    /// Wrong arguments or configuration: a line each. Exit status 2.
    Configuration(Vec<String>),
    /// A failure while running. Exit status 1.
    Running(String),
}

impl Failure {
    /// The exit status of the command.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(2),
            Self::Running(_) => ExitCode::FAILURE,
        }
    }

    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self::Configuration(vec![what.into()])
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(lines) => f.write_str(&lines.join("\n")),
            Self::Running(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Configuration(problems.iter().map(ToString::to_string).collect())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        vec![problem].into()
    }
}
