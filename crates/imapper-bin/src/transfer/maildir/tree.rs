//! The folders of a tree of Maildirs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::transfer::{INBOX, name};

/// How deep folders may lie in each other.
const DEPTH: usize = 32;

/// Whether a folder holds messages, as far as that can be seen.
pub(crate) fn is_maildir(folder: &Path) -> bool {
    holds_messages(folder).unwrap_or(false)
}

/// Whether a folder holds messages. A link in the place of `cur` would bring in mail from anywhere; a folder that
/// can't be looked into must not be taken for an empty one.
fn holds_messages(folder: &Path) -> io::Result<bool> {
    for sub in ["cur", "new"] {
        match fs::symlink_metadata(folder.join(sub)) {
            Ok(kind) if kind.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display()))),
        }
    }
    Ok(true)
}

/// The mailboxes of a tree: `.A.B` (Maildir++) and folders in folders. A symbolic link is not followed, except that
/// the root may be one. Two folders may have one name, in both layouts or spelled in two ways: both come.
pub(super) fn mailboxes(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    if holds_messages(root)? {
        found.push((root.to_owned(), INBOX.to_owned()));
    }
    let mut open = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, above, depth)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let (path, file) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if file.starts_with('.') {
                if holds_messages(&path)? {
                    // A name that means nothing in the layout stands for itself: its mail must not stay behind.
                    let mailbox = name::from_maildir(&file).unwrap_or(file);
                    found.push((path, format!("{above}{mailbox}")));
                }
            } else if !["cur", "new", "tmp"].contains(&file.as_str()) && depth < DEPTH {
                let mailbox = format!("{above}{}", name::from_file(&file));
                if holds_messages(&path)? {
                    found.push((path.clone(), mailbox.clone()));
                }
                open.push((path, format!("{mailbox}/"), depth + 1));
            }
        }
    }
    found.sort_by(|one, other| (&one.1, &one.0).cmp(&(&other.1, &other.0)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        mailboxes(root).unwrap().into_iter().map(|(_, name)| name).collect()
    }

    fn maildir(root: &Path, folder: impl AsRef<Path>) {
        for sub in ["cur", "new"] {
            fs::create_dir_all(root.join(&folder).join(sub)).unwrap();
        }
    }

    #[test]
    #[cfg(unix)]
    fn no_folder_with_mail_is_left_behind_and_no_link_is_followed() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = std::env::temp_dir().join(format!("imapper-tree-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in ["", ".Work", "Work", ".a..b", "nest", "nest/.Sub.x"] {
            maildir(&root, folder);
        }
        maildir(&root, std::ffi::OsStr::from_bytes(b".lat\xe9"));
        fs::create_dir_all(root.join(".Stolen/new")).unwrap();
        std::os::unix::fs::symlink(root.join(".Work/cur"), root.join(".Stolen/cur")).unwrap();
        std::os::unix::fs::symlink(root.join(".Work"), root.join("link")).unwrap();
        assert_eq!(names(&root), [".a..b", "INBOX", "Work", "Work", "lat\u{fffd}", "nest", "nest/Sub/x"]);
        fs::remove_dir_all(&root).unwrap();
    }
}
