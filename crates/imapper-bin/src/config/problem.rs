//! What is wrong with a configuration: one line each.

use std::cell::RefCell;
use std::fmt;

use super::value::Position;

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem(String);

impl Problem {
    /// In a file; a place of 0:0 is no place.
    pub(crate) fn at(file: &str, at: Position, what: impl fmt::Display) -> Self {
        match at.line {
            0 => Self(format!("{file}: {what}")),
            _ => Self(format!("{file}:{}:{}: {what}", at.line, at.column)),
        }
    }

    /// In an argument, a variable, or nowhere in particular.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that is wrong, as it is found: who mends a file wants the whole list.
#[derive(Debug)]
pub(crate) struct Problems {
    pub(crate) file: String,
    found: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(crate) fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), found: RefCell::default() }
    }

    pub(crate) fn add(&self, at: Position, what: impl fmt::Display) {
        self.found.borrow_mut().push(Problem::at(&self.file, at, what));
    }

    pub(crate) fn push(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// What was found.
    pub(crate) fn into_found(self) -> Vec<Problem> {
        self.found.into_inner()
    }
}
