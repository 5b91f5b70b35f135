//! All scripts of the kit, and a test for each folder of them.

use crate::run::{Failure, Outcome, run_script};
use crate::script::{Script, ScriptError};
use crate::scripts::{FIXTURES, SCRIPTS};
use crate::server::Server;
use std::fmt;

/// All scripts of the kit, in the order of their names.
///
/// # Errors
/// The first script that is not in the format; the kit's own tests see to it that there is none.
pub fn scripts() -> Result<Vec<Script>, ScriptError> {
    SCRIPTS.iter().map(|(name, text)| Script::parse(name, text, fixture)).collect()
}

fn fixture(name: &str) -> Option<String> {
    FIXTURES.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
}

/// The folders of scripts: one a feature.
pub fn folders() -> Vec<&'static str> {
    let mut folders: Vec<_> = SCRIPTS.iter().filter_map(|(name, _)| name.split('/').next()).collect();
    folders.dedup();
    folders
}

/// What came of a number of scripts.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of the scripts that went as written.
    pub passed: Vec<String>,
    /// Names of the scripts that were not played, and why.
    pub skipped: Vec<(String, String)>,
    /// What went wrong.
    pub failures: Vec<Failure>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}\n")?;
        }
        for (name, why) in &self.skipped {
            writeln!(f, "{name}: skipped, {why}")?;
        }
        let (passed, failed, skipped) = (self.passed.len(), self.failures.len(), self.skipped.len());
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Plays the scripts one after the other, each to its end.
pub async fn run_scripts(scripts: &[Script], server: &dyn Server) -> Report {
    let mut report = Report::default();
    for script in scripts {
        let name = script.name.clone();
        match run_script(script, server).await {
            Ok(Outcome::Passed) => report.passed.push(name),
            Ok(Outcome::Skipped(why)) => report.skipped.push((name, why)),
            Err(failure) => report.failures.push(failure),
        }
    }
    report
}

/// The folder whose test has that name: one that is called like a word of Rust's has `r#` before it.
pub const fn folder_of(test: &'static str) -> &'static str {
    match test.as_bytes() {
        [b'r', b'#', ..] => test.split_at(2).1,
        _ => test,
    }
}

/// Plays the scripts of a folder in a runtime of its own: the body of a `#[test]`.
///
/// # Panics
/// When a script fails, with all failures of the folder.
pub fn test_folder(folder: &str, server: &dyn Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let all = scripts().map_err(|error| error.to_string());
    let report = match (runtime, all) {
        (Ok(runtime), Ok(mut all)) => {
            all.retain(|script| script.folder() == folder);
            assert!(!all.is_empty(), "there are no scripts in a folder {folder}");
            Ok(runtime.block_on(run_scripts(&all, server)))
        }
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(error),
    };
    let passed = report.as_ref().is_ok_and(|report| report.failures.is_empty());
    assert!(passed, "{}", report.map_or_else(|error| error, |report| report.to_string()));
}

/// Makes a module `scripts` with one `#[test]` for each folder of scripts, played against the server
/// that the expression gives.
///
/// ```ignore
/// imapper_testkit::script_tests!(MyServer::new());
/// ```
#[macro_export]
macro_rules! script_tests {
    (@ $server:expr; $($folder:ident)*) => {
        mod scripts {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $folder() {
                    $crate::test_folder($crate::folder_of(stringify!($folder)), &$server);
                }
            )*

            /// The folders that have a test here.
            #[allow(dead_code)]
            pub(crate) const FOLDERS: &[&str] = &[$($crate::folder_of(stringify!($folder))),*];
        }
    };
    ($server:expr) => {
        $crate::script_tests! { @ $server;
            auth_plain children condstore enable id idle literal logindisabled r#move namespace qresync quota rfc3501
            sasl_ir special_use starttls uidplus unselect x_faults x_gm_ext_1 xoauth2 xtoybird
        }
    };
}
