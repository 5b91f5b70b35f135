//! Reads what `strace -f -y` wrote: which files and folders are dirty when an answer goes out. A file is from the
//! end of a write until an fsync that begins later; a folder is from a change of its entries until its own fsync,
//! because a file under a name that is not on the disk is lost too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What changes files, what makes that last, and what answers.
pub(super) const CALLS: &str = "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,\
    sendfile,splice,fallocate,ftruncate,truncate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,\
    unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync,syncfs,sendto,sendmsg,io_uring_enter";

/// The state of what lies below a folder that was empty.
pub(super) struct Trace<'a> {
    store: &'a str,
    /// What need not last, by its path below the store; a folder ends in `/`.
    passing: fn(&str) -> bool,
    /// Files that are dirty, and since which line.
    files: BTreeMap<String, usize>,
    folders: BTreeMap<String, usize>,
    /// All that is there: opening it with `O_CREAT` makes no entry.
    there: BTreeSet<String>,
    /// Calls that have begun, by thread: their beginning and its line.
    begun: HashMap<String, (String, usize)>,
    line: usize,
}

/// A tagged OK, with the tags that `Session` makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) tag: String,
    /// What had become dirty since the answer before, and was so still.
    pub(super) dirty: Vec<String>,
}

/// The answers in a trace.
pub(super) fn answers(text: &str, store: &str, passing: fn(&str) -> bool) -> Vec<Answered> {
    let (files, folders, there) = Default::default();
    let mut trace = Trace { store, passing, files, folders, there, begun: HashMap::new(), line: 0 };
    text.lines().filter_map(|line| trace.feed(line)).collect()
}

impl Trace<'_> {
    fn feed(&mut self, line: &str) -> Option<Answered> {
        self.line += 1;
        let (thread, event) = line.split_once(' ')?;
        let event = event.trim_start();
        if let Some(begin) = event.strip_suffix(" <unfinished ...>") {
            self.begun.insert(thread.to_owned(), (begin.to_owned(), self.line));
            // From here on it may have gone out.
            return self.answered(begin);
        }
        let (whole, since) = match event.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                let (begin, since) = self.begun.remove(thread)?;
                (begin + end, since)
            }
            None => (event.to_owned(), self.line),
        };
        let (call, rest) = whole.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        if result.starts_with(['-', '?']) {
            return None;
        }
        if since == self.line
            && let Some(answered) = self.answered(&whole)
        {
            return Some(answered);
        }
        self.done(call, arguments, since);
        None
    }

    fn answered(&mut self, call: &str) -> Option<Answered> {
        let (name, arguments) = call.split_once('(')?;
        let kind = descriptors(arguments).first()?.split(':').next()?;
        if !(matches!(kind, "socket" | "TCP" | "TCPv6")
            && matches!(name, "write" | "writev" | "sendto" | "sendmsg"))
        {
            return None;
        }
        // It stands behind the beginning of the text, or behind `\n`; an untagged OK has `*` there.
        let words =
            arguments.match_indices(" OK ").filter_map(|(at, _)| arguments[..at].rsplit(['"', 'n']).next());
        let is_tag = |word: &&str| word.strip_prefix('s').is_some_and(|number| number.parse::<u32>().is_ok());
        let tag = { words }.find(is_tag)?;
        let files = std::mem::take(&mut self.files).into_keys();
        let folders = std::mem::take(&mut self.folders).into_keys().map(|path| path + "/");
        let mut dirty: Vec<String> = files.chain(folders).filter(|path| !(self.passing)(path)).collect();
        dirty.sort();
        Some(Answered { tag: tag.to_owned(), dirty })
    }

    /// A call has succeeded that began in that line.
    fn done(&mut self, call: &str, arguments: &str, since: usize) {
        let descriptor = |which: usize| self.within(descriptors(arguments).get(which)?);
        let paths: Vec<Option<String>> = paths(arguments).iter().map(|path| self.within(path)).collect();
        let path = paths.first().cloned().flatten();
        match call {
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "ftruncate" | "fallocate"
            | "sendfile" => {
                self.written(descriptor(0));
            }
            "copy_file_range" | "splice" => self.written(descriptor(1)),
            "truncate" => self.written(path),
            "open" | "openat" | "openat2" | "creat" => {
                let makes = call == "creat" || arguments.contains("O_CREAT");
                if makes && path.as_ref().is_some_and(|path| !self.there.contains(path)) {
                    self.made(path);
                } else if call == "creat" || arguments.contains("O_TRUNC") {
                    self.written(path);
                }
            }
            "mkdir" | "mkdirat" => self.made(path),
            "symlink" | "symlinkat" => self.made(paths.last().cloned().flatten()),
            "link" | "linkat" => {
                let to = paths.last().cloned().flatten();
                if path.is_some_and(|from| self.files.contains_key(&from)) {
                    self.written(to.clone());
                }
                self.made(to);
            }
            "rename" | "renameat" | "renameat2" => self.renamed(path, paths.last().cloned().flatten()),
            "unlink" | "unlinkat" | "rmdir" => self.removed(path),
            "fsync" | "fdatasync" => {
                if let Some(path) = descriptor(0) {
                    let newer = |other: &String, at: &mut usize| *other != path || *at >= since;
                    self.files.retain(newer);
                    self.folders.retain(newer);
                }
            }
            "sync" | "syncfs" => {
                self.files.retain(|_, at| *at >= since);
                self.folders.retain(|_, at| *at >= since);
            }
            _ => {}
        }
    }

    fn written(&mut self, path: Option<String>) {
        self.files.extend(path.map(|path| (path, self.line)));
    }

    fn made(&mut self, path: Option<String>) {
        if let Some(path) = path {
            self.change_entries_above(&path);
            self.there.insert(path);
        }
    }

    fn removed(&mut self, path: Option<String>) {
        let Some(path) = path else { return };
        self.files.retain(|other, _| !is_within(other, &path));
        self.folders.retain(|other, _| !is_within(other, &path));
        self.there.retain(|other| !is_within(other, &path));
        self.change_entries_above(&path);
    }

    fn renamed(&mut self, from: Option<String>, to: Option<String>) {
        let Some(from) = from else { return self.made(to) };
        let Some(to) = to else { return self.removed(Some(from)) };
        // What had that name is no more.
        self.files.remove(&to);
        let new = |path: String| match path.strip_prefix(&from) {
            Some(rest) if is_within(&path, &from) => format!("{to}{rest}"),
            _ => path,
        };
        self.files = std::mem::take(&mut self.files).into_iter().map(|(path, at)| (new(path), at)).collect();
        self.folders =
            std::mem::take(&mut self.folders).into_iter().map(|(path, at)| (new(path), at)).collect();
        self.there = std::mem::take(&mut self.there).into_iter().map(new).collect();
        self.there.insert(to.clone());
        self.change_entries_above(&from);
        self.change_entries_above(&to);
    }

    fn change_entries_above(&mut self, path: &str) {
        // The store itself has its entry elsewhere.
        if let Some((folder, _)) = path.rsplit_once('/')
            && !(self.passing)(path)
        {
            self.folders.insert(folder.to_owned(), self.line);
        }
    }

    /// A path from the store on: it begins with `/`, and the store itself is empty.
    fn within(&self, path: &str) -> Option<String> {
        is_within(path, self.store).then(|| path[self.store.len()..].to_owned())
    }
}

fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the descriptors of a call stand for: `5</store/file>`.
fn descriptors(arguments: &str) -> Vec<&str> {
    let unquoted = arguments.split('"').step_by(2);
    let named = unquoted.flat_map(|part| part.split('<').skip(1));
    // A file without a name, `<…>(deleted)`, is of no account.
    let named =
        named.filter_map(|part| part.rsplit_once('>')).filter(|(_, rest)| !rest.starts_with("(deleted)"));
    named.map(|(path, _)| path).collect()
}

/// The paths of a call, as a whole: `5</store>, "file"`.
fn paths(arguments: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = arguments;
    while let Some((before, quoted)) = rest.split_once('"') {
        let Some((path, after)) = quoted.split_once('"') else { break };
        let folder = before.rsplit_once('<').and_then(|(_, folder)| folder.split_once('>'));
        let path = match folder {
            Some((folder, _)) if !path.starts_with('/') => format!("{folder}/{path}"),
            _ => path.to_owned(),
        };
        paths.push(path.trim_end_matches('/').to_owned());
        rest = after;
    }
    paths
}

/// Made-up traces.
#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "9 sendto(4<socket:[77]>, \"* OK [COPYUID 1 1 1] x\\r\\n* 1 EXISTS\\r\\ns7 OK done\\r\\n\", 25, 0, NULL, 0) = 25";

    /// What is dirty when the OK goes out.
    fn dirty(calls: &[&str]) -> Vec<String> {
        let text = [calls, &[OK]].concat().join("\n");
        let answers = answers(&text, "/store", |path| path.contains("/tmp/") || path.contains(".cache"));
        let [Answered { tag, dirty }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(tag, "s7");
        dirty.clone()
    }

    const MAKE: &str = "1 openat(AT_FDCWD</home>, \"/store/cur/a\", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 5</store/cur/a>";
    const WRITE: &str = "1 write(5</store/cur/a>, \"body \\\" <b> /store/x\"..., 9) = 9";
    const SYNC: &str = "1 fdatasync(5</store/cur/a>) = 0";
    const SYNC_FOLDER: &str = "2 fsync(6</store/cur>) = 0";

    #[test]
    fn a_file_lasts_when_it_and_its_folder_are_synced() {
        assert_eq!(dirty(&[MAKE, WRITE]), ["/cur/", "/cur/a"]);
        assert_eq!(dirty(&[MAKE, WRITE, SYNC]), ["/cur/"]);
        assert_eq!(dirty(&[MAKE, WRITE, SYNC_FOLDER]), ["/cur/a"]);
        assert_eq!(dirty(&[MAKE, SYNC, WRITE, SYNC_FOLDER]), ["/cur/a"]);
        assert!(dirty(&[MAKE, WRITE, SYNC, SYNC_FOLDER]).is_empty());
        assert!(dirty(&[MAKE, WRITE, "3 syncfs(6</store>) = 0"]).is_empty());
        // Opened once more, it is no new entry; emptied, it is another file.
        assert!(dirty(&[MAKE, SYNC_FOLDER, MAKE]).is_empty());
        let empty =
            "1 openat(AT_FDCWD</home>, \"/store/cur/a\", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 5</store/cur/a>";
        assert_eq!(dirty(&[MAKE, SYNC_FOLDER, empty]), ["/cur/a"]);
    }

    #[test]
    fn what_failed_or_lies_elsewhere_does_not_count() {
        let failed =
            "1 openat(AT_FDCWD</home>, \"/store/cur/b\", O_CREAT) = -1 ENOSPC (No space left on device)";
        let elsewhere = "1 write(5</storehouse/a>, \"x\", 1) = 1";
        let unsynced = "1 fsync(5</store/cur/a>) = -1 EIO (Input/output error)";
        assert!(dirty(&[failed, elsewhere]).is_empty());
        assert_eq!(dirty(&[MAKE, WRITE, unsynced, SYNC_FOLDER]), ["/cur/a"]);
        assert!(dirty(&["1 write(5</store/cur/a>(deleted), \"x\", 1) = 1"]).is_empty());
    }

    #[test]
    fn a_sync_that_began_before_the_write_ended_does_not_count() {
        let begin = "2 fsync(5</store/cur/a> <unfinished ...>";
        let end = "2 <... fsync resumed>) = 0";
        assert_eq!(dirty(&[MAKE, SYNC_FOLDER, begin, WRITE, end]), ["/cur/a"]);
        assert!(dirty(&[MAKE, SYNC_FOLDER, WRITE, begin, end]).is_empty());
        // Nor does one that has not ended.
        assert_eq!(dirty(&[MAKE, SYNC_FOLDER, WRITE, begin]), ["/cur/a"]);
    }

    #[test]
    fn an_answer_goes_out_when_its_call_begins() {
        let begin = "9 sendto(4<socket:[77]>, \"s7 OK done\\r\\n\", 12, 0, NULL, 0 <unfinished ...>";
        let text = [MAKE, WRITE, begin, SYNC, SYNC_FOLDER, "9 <... sendto resumed>) = 12"].join("\n");
        let answers = answers(&text, "/store", |_| false);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].dirty, ["/cur/", "/cur/a"]);
    }

    #[test]
    fn each_answer_has_what_came_since_the_one_before() {
        let text =
            [MAKE, SYNC_FOLDER, OK, WRITE, &OK.replace("s7", "s8"), &OK.replace("s7", "s9")].join("\n");
        let answers = answers(&text, "/store", |_| false);
        let dirty: Vec<(&str, usize)> =
            answers.iter().map(|answered| (answered.tag.as_str(), answered.dirty.len())).collect();
        assert_eq!(dirty, [("s7", 0), ("s8", 1), ("s9", 0)]);
    }

    #[test]
    fn a_rename_changes_both_folders_and_takes_along_what_is_dirty() {
        let rename = "1 renameat(6</store/cur>, \"a\", 7</store/new>, \"b\") = 0";
        assert_eq!(dirty(&[MAKE, WRITE, SYNC_FOLDER, rename]), ["/cur/", "/new/", "/new/b"]);
        let folder = "1 rename(\"/store/cur\", \"/store/old\") = 0";
        assert_eq!(dirty(&[MAKE, WRITE, folder]), ["/", "/old/", "/old/a"]);
        let link = "1 linkat(AT_FDCWD</home>, \"/store/cur/a\", AT_FDCWD</home>, \"/store/new/b\", 0) = 0";
        assert_eq!(dirty(&[MAKE, WRITE, SYNC_FOLDER, link]), ["/cur/a", "/new/", "/new/b"]);
        assert_eq!(dirty(&[MAKE, WRITE, SYNC, SYNC_FOLDER, link]), ["/new/"]);
    }

    #[test]
    fn a_removal_is_a_change_of_its_folder() {
        let unlink = "1 unlinkat(6</store/cur>, \"a\", 0) = 0";
        assert_eq!(dirty(&[MAKE, WRITE, SYNC_FOLDER, unlink]), ["/cur/"]);
        let made = "1 mkdir(\"/store/.b\", 0700) = 0";
        assert_eq!(dirty(&[made]), ["/"]);
        assert_eq!(dirty(&[made, "1 fsync(3</store>) = 0", "1 rmdir(\"/store/.b\") = 0"]), ["/"]);
        assert!(dirty(&["1 mkdir(\"/store/tmp/x\", 0700) = 0"]).is_empty());
        // What need not last needs no entry that lasts.
        assert!(
            dirty(&["1 openat(AT_FDCWD</home>, \"/store/a.cache\", O_CREAT) = 5</store/a.cache>"]).is_empty()
        );
    }
}
