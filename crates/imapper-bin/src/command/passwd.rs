//! `imapper passwd USER`: makes the bcrypt line of a user, printed or stored. The password is asked for on the
//! terminal, or read from standard input; never taken as an argument, which other users could see.

use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;

use super::print;
use crate::cli::Passwd;
use crate::error::Failure;
use crate::files;

/// Some 50 ms for each login.
pub(super) const COST: u32 = 10;

/// Octets of a password that bcrypt looks at.
const LONGEST: usize = 72;

pub(crate) fn run(arguments: &Passwd) -> Result<(), Failure> {
    let user = &arguments.user;
    if user.is_empty() || user.chars().any(|c| c.is_control() || c == ':') {
        return Err(Failure::configuration(format!(
            "{user:?} can't be a user's name: it may hold no `:` and no control character"
        )));
    }
    let password = read_password(user)?;
    let hash = bcrypt::non_truncating_hash(&password, COST)
        .map_err(|error| Failure::Running(format!("the password can't be hashed: {error}")))?;
    match &arguments.file {
        None => print(&format!("{} = \"{hash}\"", key(user))),
        Some(path) => store(path, user, &hash)
            .map_err(|error| Failure::Running(format!("{}: {error}", path.display())))?,
    }
    Ok(())
}

/// The name as a key of TOML.
pub(super) fn key(user: &str) -> String {
    let is_bare = user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { user.to_owned() } else { format!("\"{}\"", user.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn read_password(user: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Running(format!("no password can be read: {error}"));
    let password = if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password(format!("Password for {user}: ")).map_err(failed)?;
        if rpassword::prompt_password("Once more: ").map_err(failed)? != password {
            return Err(Failure::configuration("the two passwords are not the same"));
        }
        password
    } else {
        let mut line = String::new();
        std::io::stdin().lock().take(4096).read_line(&mut line).map_err(failed)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    match password.len() {
        0 => Err(Failure::configuration("a password may not be empty")),
        1..=LONGEST if !password.contains('\0') => Ok(password),
        _ => Err(Failure::configuration(format!("a password has {LONGEST} octets at most, and no NUL"))),
    }
}

/// Puts a user's line into a file of `name:hash` lines, in the place of the user's old one. A crash leaves the
/// old file or the new one.
fn store(path: &Path, user: &str, hash: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let new = replace(&old, user, hash);
    let beside = files::beside(&path)?;
    let written = files::write_private(&beside, new.as_bytes()).and_then(|()| {
        if let Ok(old) = fs::metadata(&path) {
            fs::set_permissions(&beside, old.permissions())?;
        }
        fs::rename(&beside, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn replace(old: &str, user: &str, hash: &str) -> String {
    let line = format!("{user}:{hash}");
    let is_users = |line: &str| line.split_once(':').is_some_and(|(name, _)| name.trim() == user);
    let mut lines: Vec<&str> = old.lines().collect();
    match lines.iter().position(|line| is_users(line)) {
        Some(at) => {
            lines[at] = &line;
            let mut place = 0;
            lines.retain(|line| {
                place += 1;
                place - 1 <= at || !is_users(line)
            });
        }
        None => lines.push(&line),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_replaced_or_added() {
        assert_eq!(replace("", "john", "h"), "john:h\n");
        assert_eq!(replace("# users\njohn:a\njill:b\n", "john", "h"), "# users\njohn:h\njill:b\n");
        assert_eq!(replace("jill:b", "john", "h"), "jill:b\njohn:h\n");
        assert_eq!(replace("john:a\njill:b\njohn:c\n", "john", "h"), "john:h\njill:b\n");
        assert_eq!(replace("johnny:a\n", "john", "h"), "johnny:a\njohn:h\n");
    }

    #[test]
    fn a_name_is_quoted_where_toml_wants_it() {
        assert_eq!(key("john"), "john");
        assert_eq!(key("john@example.com"), "\"john@example.com\"");
        assert_eq!(key("a\"b"), "\"a\\\"b\"");
    }
}
