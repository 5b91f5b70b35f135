//! Writing an mbox file, or a folder of such. A file is written beside its place, and gets its name when it is
//! whole: what has its name is passed over when the same is exported again.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use imapper_core::types::Keyword;

use super::{date, fields};
use crate::error::Failure;
use crate::files::Beside;
use crate::transfer::{Folder, Message, Tally, Target, at, name};

/// The longest name of a mailbox's last level, as a file's.
const LONGEST: usize = 255 - ".mbox".len() - INCOMPLETE.len();

/// mbox files: each is a mailbox.
pub(crate) struct MboxTarget {
    path: PathBuf,
    single: bool,
    dry: bool,
    open: Option<Open>,
}

/// The file that is being written.
struct Open {
    path: PathBuf,
    file: Option<Beside>,
    /// UIDVALIDITY, last UID and keywords, for the first message.
    base: Option<String>,
    /// What had been left out when it was begun.
    failed: u64,
}

/// What comes behind the name of a file that does not hold all of its mailbox. Under its own name it would be
/// passed over when the same is exported again.
const INCOMPLETE: &str = ".incomplete";

impl MboxTarget {
    /// One file for one mailbox, or a folder with a file each.
    pub(crate) fn new(path: &Path, single: bool, dry: bool) -> Result<Self, Failure> {
        if single && path.exists() {
            return Err(Failure::configuration(format!(
                "{} is there already: nothing is overwritten",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned(), single, dry, open: None })
    }

    fn path_of(&self, folder: &Folder) -> Option<PathBuf> {
        if self.single {
            return Some(self.path.clone());
        }
        let levels: Option<Vec<String>> = folder.name.split('/').map(name::to_file).collect();
        let levels = levels?;
        let fits = levels.last().is_some_and(|last| last.len() <= LONGEST);
        fits.then(|| self.path.join(format!("{}.mbox", levels.join("/"))))
    }
}

#[async_trait]
impl Target for MboxTarget {
    async fn open(&mut self, folder: &Folder, tally: &mut Tally) -> Result<bool, Failure> {
        let Some(path) = self.path_of(folder) else {
            tally.left_out(&folder.name, "its name can't be that of a file");
            return Ok(false);
        };
        if path.exists() {
            tally.say(&format!("{} is there already; passed over", path.display()));
            tally.passed_over(folder.messages.unwrap_or_default());
            return Ok(false);
        }
        let keywords: Vec<&str> = folder.keywords.iter().map(Keyword::as_str).collect();
        let base = folder.numbers.map(|numbers| {
            let last = numbers.uid_next.get().saturating_sub(1);
            format!("{} {last:010} {}", numbers.uid_validity, keywords.join(" ")).trim_end().to_owned()
        });
        let file = if self.dry {
            None
        } else {
            let above = path.parent().filter(|above| !above.as_os_str().is_empty());
            above.map_or(Ok(()), make_private).map_err(|error| at(&path, error))?;
            Some(Beside::new(&path).map_err(|error| at(&path, error))?)
        };
        self.open = Some(Open { path, file, base, failed: tally.failed });
        Ok(true)
    }

    async fn put(&mut self, message: Message, tally: &mut Tally) -> Result<(), Failure> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(file) = &mut open.file {
            let mut text = date::line(message.date).into_bytes();
            fields::write(&message, open.base.take().as_deref(), &mut text);
            file.write(&text).map_err(|error| at(&open.path, error))?;
        }
        tally.carried(message.body.len() as u64);
        Ok(())
    }

    async fn close(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let Some(Open { path, file: Some(file), failed, .. }) = self.open.take() else { return Ok(()) };
        // A single file that has its name is an error the next time, not passed over.
        if self.single || tally.failed == failed {
            return file.keep(&path).map_err(|error| at(&path, error));
        }
        let mut name = path.clone().into_os_string();
        name.push(INCOMPLETE);
        tally.say(&format!(
            "{} is to be exported again; what there is so far is in {}",
            path.display(),
            Path::new(&name).display()
        ));
        file.replace(Path::new(&name)).map_err(|error| at(&path, error))
    }

    async fn give_up(&mut self, _tally: &mut Tally) -> Result<(), Failure> {
        // A file that is not whole must not get its name.
        self.open = None;
        Ok(())
    }

    async fn finish(&mut self, _subscriptions: Vec<String>, _tally: &mut Tally) -> Result<(), Failure> {
        Ok(())
    }
}

/// Makes a folder, and those that it lies in, which only their owner may look into: the names of mailboxes are
/// nobody else's business.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
#[cfg(feature = "memory")]
mod tests {
    use super::*;

    fn folder(name: &str) -> Folder {
        Folder {
            name: name.to_owned(),
            place: 0,
            special_use: Vec::new(),
            numbers: None,
            keywords: Vec::new(),
            messages: None,
        }
    }

    #[tokio::test]
    async fn a_name_that_is_too_long_is_left_out_and_folders_are_private() {
        let root = std::env::temp_dir().join(format!("imapper-mbox-write-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let mut target = MboxTarget::new(&root, false, false).unwrap();
        let mut tally = Tally::quiet();
        for length in 235..=255 {
            let name = format!("a/{}", "x".repeat(length));
            if target.open(&folder(&name), &mut tally).await.unwrap() {
                target.close(&mut tally).await.unwrap();
            }
        }
        assert_eq!(tally.failed, 16, "those above 239");
        #[cfg(unix)]
        for folder in [&root, &root.join("a")] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test]
    async fn a_mailbox_that_did_not_come_whole_is_not_passed_over_the_next_time() {
        let root = std::env::temp_dir().join(format!("imapper-mbox-part-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let mut tally = Tally::quiet();
        for is_whole in [false, true] {
            let mut target = MboxTarget::new(&root, false, false).unwrap();
            assert!(target.open(&folder("a"), &mut tally).await.unwrap(), "it is not there yet");
            if !is_whole {
                tally.failed("UID 1", "can't be read");
            }
            target.close(&mut tally).await.unwrap();
            assert!(root.join("a.mbox.incomplete").exists());
            assert_eq!(root.join("a.mbox").exists(), is_whole);
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
