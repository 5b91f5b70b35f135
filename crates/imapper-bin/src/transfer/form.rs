//! In which form mail lies in a file or folder, as far as that can be seen.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use clap::ValueEnum;

use crate::error::Failure;

/// A form of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A Maildir with its sub-folders
    Maildir,
    /// An mbox file, or a folder of such
    Mbox,
    /// A JSON fixture
    Json,
}

impl Form {
    /// What a source holds.
    pub(crate) fn of_source(path: &Path) -> Result<Self, Failure> {
        let kind = fs::metadata(path)
            .map_err(|error| Failure::configuration(format!("{}: {error}", path.display())))?;
        let found = if kind.is_dir() { of_folder(path) } else { by_name(path).or_else(|| by_content(path)) };
        found.ok_or_else(|| unclear(path))
    }

    /// What a target shall be.
    pub(crate) fn of_target(path: &Path) -> Result<Self, Failure> {
        let found = if path.is_dir() { of_folder(path) } else { by_name(path) };
        found.ok_or_else(|| unclear(path))
    }
}

fn unclear(path: &Path) -> Failure {
    Failure::configuration(format!(
        "{}: can't tell whether this is a Maildir, an mbox or a JSON file: say `--format`",
        path.display()
    ))
}

fn by_name(path: &Path) -> Option<Form> {
    let extension = path.extension()?;
    [("json", Form::Json), ("mbox", Form::Mbox)]
        .into_iter()
        .find(|(name, _)| extension.eq_ignore_ascii_case(name))
        .map(|(_, form)| form)
}

fn by_content(path: &Path) -> Option<Form> {
    // What is read from a pipe is gone.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut begin = [0; 5];
    File::open(path).ok()?.read_exact(&mut begin).ok()?;
    (&begin == b"From ").then_some(Form::Mbox)
}

/// By the folder itself, else by what lies in it.
fn of_folder(path: &Path) -> Option<Form> {
    if super::maildir::is_maildir(path) {
        return Some(Form::Maildir);
    }
    let mut found = None;
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && super::maildir::is_maildir(&path) => return Some(Form::Maildir),
                Ok(kind) if kind.is_dir() && depth < 3 => open.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && by_name(&path) == Some(Form::Mbox) => found = Some(Form::Mbox),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_seen_by_names_and_contents() {
        let root = std::env::temp_dir().join(format!("imapper-form-{}", std::process::id()));
        for folder in ["maildir/cur", "maildir/new", "nested/a/b/cur", "nested/a/b/new", "mboxes/a", "other"]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("mboxes/a/b.mbox"), "").unwrap();
        fs::write(root.join("john"), "From x Thu Jan  1 00:00:00 1970\n\nhello\n").unwrap();
        fs::write(root.join("text"), "Fro").unwrap();
        for (name, form) in [
            ("maildir", Some(Form::Maildir)),
            ("nested", Some(Form::Maildir)),
            ("mboxes", Some(Form::Mbox)),
            ("john", Some(Form::Mbox)),
            ("other", None),
            ("text", None),
        ] {
            assert_eq!(Form::of_source(&root.join(name)).ok(), form, "{name}");
        }
        assert_eq!(Form::of_target(&root.join("new.json")).ok(), Some(Form::Json));
        assert_eq!(Form::of_target(&root.join("new.mbox")).ok(), Some(Form::Mbox));
        assert!(Form::of_target(&root.join("new")).unwrap_err().to_string().contains("--format"));
        assert!(Form::of_source(&root.join("none")).unwrap_err().to_string().contains("No such file"));
        fs::remove_dir_all(&root).unwrap();
    }
}
