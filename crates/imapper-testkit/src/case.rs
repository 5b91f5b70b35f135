//! What the conformance suites have in common: a case, and what comes of it.

use std::fmt;
use std::time::Duration;

use crate::BoxFuture;

/// How long a case may take.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// What is broken, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case: area and name, `flags::unchanged_since_holds_back`.
    pub case: String,
    /// The sentence of the contract, with the RFC's place.
    pub rule: String,
    /// What was found, and what must be.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  rule: {}", self.case, self.what, self.rule)
    }
}

impl std::error::Error for Failure {}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All as it must be.
    Passed,
    /// Left out, as the plugin does not claim to do this; why.
    Skipped(&'static str),
    /// Broken.
    Failed(Failure),
}

/// Why a case ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The plugin does not claim to do this.
    Skipped(&'static str),
    /// What is broken.
    Broken(String),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

/// What a case gives.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Ends the case unless the condition holds; the text says what is broken.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::case::Stop::Broken(format!($($text)+)));
        }
    };
}

pub(crate) use ensure;

/// What a case works with: a plugin of its own. Clones are handed to tasks.
pub(crate) trait Subject: Clone + Send + 'static {
    /// The sentence of the contract that is being checked.
    fn last_rule(&self) -> &'static str;
}

/// A case of a suite.
pub(crate) struct Case<T> {
    pub(crate) area: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: fn(T) -> BoxFuture<'static, Outcome>,
}

impl<T: Subject> Case<T> {
    /// `area::name`
    pub(crate) fn full_name(&self) -> String {
        format!("{}::{}", self.area, self.name)
    }

    async fn run(&self, trial: T) -> Verdict {
        // In a task of its own, so that a panic of the plugin is a failure of this case only.
        let task = tokio::spawn(tokio::time::timeout(TIME_LIMIT, (self.run)(trial.clone())));
        let what = match task.await {
            Ok(Ok(Ok(()))) => return Verdict::Passed,
            Ok(Ok(Err(Stop::Skipped(why)))) => return Verdict::Skipped(why),
            Ok(Ok(Err(Stop::Broken(what)))) => what,
            Ok(Err(_)) => format!("did not come to an end within {} s", TIME_LIMIT.as_secs()),
            Err(error) => format!("the plugin panicked: {error}"),
        };
        Verdict::Failed(Failure { case: self.full_name(), rule: trial.last_rule().to_owned(), what })
    }
}

/// Runs every case, each with a fresh plugin; gives what is broken.
pub(crate) async fn run_all<T: Subject>(cases: &[Case<T>], fresh: impl AsyncFn() -> T) -> Vec<Failure> {
    let mut failures = Vec::new();
    for case in cases {
        if let Verdict::Failed(failure) = case.run(fresh().await).await {
            failures.push(failure);
        }
    }
    failures
}

/// Runs the case of that name. That there is none is a failure.
pub(crate) async fn run_case<T: Subject>(
    cases: &[Case<T>],
    area: &str,
    name: &str,
    fresh: impl AsyncFn() -> T,
) -> Verdict {
    match cases.iter().find(|case| case.area == area && case.name == name) {
        Some(case) => case.run(fresh().await).await,
        None => failed(area, name, "there is no such case".to_owned()),
    }
}

/// Runs one case in a runtime of its own: the body of a `#[test]`.
///
/// # Panics
/// When the case fails.
pub(crate) fn test_case<T: Subject>(cases: &[Case<T>], area: &str, name: &str, fresh: impl AsyncFn() -> T) {
    let verdict = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(run_case(cases, area, name, fresh)),
        Err(error) => failed(area, name, format!("no runtime: {error}")),
    };
    if let Verdict::Skipped(why) = verdict {
        println!("{area}::{name}: skipped, {why}");
    }
    let failure = if let Verdict::Failed(failure) = verdict { failure.to_string() } else { String::new() };
    assert!(failure.is_empty(), "{failure}");
}

fn failed(area: &str, name: &str, what: String) -> Verdict {
    Verdict::Failed(Failure { case: format!("{area}::{name}"), rule: String::new(), what })
}
