//! The folders of a tree of Maildirs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::transfer::{INBOX, name};

/// How deep folders may lie in each other.
const DEPTH: usize = 32;

/// Whether a folder holds messages.
pub(crate) fn is_maildir(folder: &Path) -> bool {
    folder.join("cur").is_dir() && folder.join("new").is_dir()
}

/// The mailboxes of a tree: `.A.B` (Maildir++) and folders in folders. A symbolic link is not followed, except that
/// the root may be one.
pub(super) fn mailboxes(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    if is_maildir(root) {
        found.push((root.to_owned(), INBOX.to_owned()));
    }
    let mut open = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, above, depth)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let file = entry.file_name();
            let Some(file) = file.to_str().filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            else {
                continue;
            };
            let path = entry.path();
            if file.starts_with('.') {
                let mailbox = name::from_maildir(file).filter(|_| depth == 0 && is_maildir(&path));
                found.extend(mailbox.map(|mailbox| (path, mailbox)));
            } else if !["cur", "new", "tmp"].contains(&file) && depth < DEPTH {
                let mailbox = format!("{above}{}", name::from_file(file));
                if is_maildir(&path) {
                    found.push((path.clone(), mailbox.clone()));
                }
                open.push((path, format!("{mailbox}/"), depth + 1));
            }
        }
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    // The same name in both layouts: the first is taken.
    found.dedup_by(|one, other| one.1 == other.1);
    Ok(found)
}
