//! The files and folders of a simulated disk, as they are now and as they are durable.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};

use super::Kind;

/// The inode of the account's folder.
pub(super) const ROOT: u64 = 1;

/// When the simulated time begins: later than all that is swept for its age.
const START: i64 = 10_000_000_000;

/// All files and folders by their inode. None is forgotten: what has no name may still be open, or durable.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) nodes: HashMap<u64, Node>,
    pub(super) next: u64,
    pub(super) now: i64,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    pub(super) mtime: i64,
    pub(super) durable: Vec<u8>,
    pub(super) durable_mtime: i64,
    /// What was written since the last sync.
    pub(super) pending: Vec<Write>,
}

#[derive(Clone, Debug)]
pub(super) enum Write {
    At(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    pub(super) names: BTreeMap<String, u64>,
    pub(super) mtime: i64,
    pub(super) durable: BTreeMap<String, u64>,
    pub(super) durable_mtime: i64,
    /// What was done to names since the last sync.
    pub(super) pending: Vec<Change>,
}

/// Names of one folder that change at once: to the inode, or to nothing.
pub(super) type Change = Vec<(String, Option<u64>)>;

impl Write {
    pub(super) fn apply(&self, content: &mut Vec<u8>) -> io::Result<()> {
        let too_large = |_| io::Error::from(ErrorKind::FileTooLarge);
        match self {
            Self::At(_, octets) if octets.is_empty() => {}
            Self::At(offset, octets) => {
                let start = usize::try_from(*offset).map_err(too_large)?;
                let end = start.checked_add(octets.len()).ok_or(ErrorKind::FileTooLarge)?;
                content.resize(content.len().max(end), 0);
                content[start..end].copy_from_slice(octets);
            }
            Self::Truncate(len) => content.resize(usize::try_from(*len).map_err(too_large)?, 0),
        }
        Ok(())
    }
}

impl File {
    /// As fdatasync: the size goes with the content, the mtime does not.
    pub(super) fn sync_content(&mut self) {
        self.durable.clone_from(&self.content);
        self.pending.clear();
    }

    /// As fsync.
    pub(super) fn sync_all(&mut self) {
        self.sync_content();
        self.durable_mtime = self.mtime;
    }
}

impl Folder {
    fn count(&self, which: impl Fn(u64) -> bool) -> u64 {
        self.names.values().filter(|&&inode| which(inode)).count() as u64
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.names);
        self.durable_mtime = self.mtime;
        self.pending.clear();
    }
}

/// Does a change of names.
pub(super) fn apply(change: &Change, names: &mut BTreeMap<String, u64>) {
    for (name, inode) in change {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Folder { mtime: START, durable_mtime: START, ..Folder::default() };
        Self { nodes: HashMap::from([(ROOT, Node::Folder(root))]), next: ROOT + 1, now: START }
    }

    pub(super) fn node(&self, inode: u64) -> io::Result<&Node> {
        self.nodes.get(&inode).ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn node_mut(&mut self, inode: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, inode: u64) -> io::Result<&File> {
        match self.node(inode)? {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, inode: u64) -> io::Result<&mut File> {
        match self.node_mut(inode)? {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn folder(&self, inode: u64) -> io::Result<&Folder> {
        match self.node(inode)? {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn folder_mut(&mut self, inode: u64) -> io::Result<&mut Folder> {
        match self.node_mut(inode)? {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn kind(&self, inode: u64) -> Kind {
        match self.nodes.get(&inode) {
            Some(Node::File(_)) => Kind::File,
            Some(Node::Folder(_)) => Kind::Folder,
            None => Kind::Other,
        }
    }

    /// The inode that a path names.
    pub(super) fn find(&self, path: &str) -> io::Result<u64> {
        let mut at = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = *self.folder(at)?.names.get(name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The folder of a path, and its last component.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(u64, &'a str)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let folder = self.find(folder)?;
        self.folder(folder)?;
        Ok((folder, name))
    }

    /// How many names a file has, or a folder as Unix counts: its name, `.` and the `..` of those in it.
    pub(super) fn links(&self, inode: u64) -> u64 {
        if let Some(Node::Folder(folder)) = self.nodes.get(&inode) {
            return 2 + folder.count(|name| self.kind(name) == Kind::Folder);
        }
        let named = |node: &Node| match node {
            Node::Folder(folder) => folder.count(|name| name == inode),
            Node::File(_) => 0,
        };
        self.nodes.values().map(named).sum()
    }

    fn change(&mut self, folder: u64, change: Change) -> io::Result<()> {
        let now = self.now;
        let folder = self.folder_mut(folder)?;
        apply(&change, &mut folder.names);
        folder.mtime = now;
        folder.pending.push(change);
        Ok(())
    }

    pub(super) fn write(&mut self, inode: u64, write: Write) -> io::Result<()> {
        let now = self.now;
        let file = self.file_mut(inode)?;
        write.apply(&mut file.content)?;
        file.mtime = now;
        file.pending.push(write);
        Ok(())
    }

    fn make(&mut self, path: &str, node: Node) -> io::Result<u64> {
        let (folder, name) = self.parent(path)?;
        if self.folder(folder)?.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        self.change(folder, vec![(name.to_owned(), Some(inode))])?;
        Ok(inode)
    }

    pub(super) fn make_file(&mut self, path: &str) -> io::Result<u64> {
        let file = File { mtime: self.now, durable_mtime: self.now, ..File::default() };
        self.make(path, Node::File(file))
    }

    pub(super) fn make_folder(&mut self, path: &str) -> io::Result<()> {
        let folder = Folder { mtime: self.now, durable_mtime: self.now, ..Folder::default() };
        self.make(path, Node::Folder(folder)).map(drop)
    }

    pub(super) fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.find(from)?;
        self.file(inode)?;
        let (folder, name) = self.parent(to)?;
        if self.folder(folder)?.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.change(folder, vec![(name.to_owned(), Some(inode))])
    }

    pub(super) fn unlink(&mut self, path: &str) -> io::Result<()> {
        self.file(self.find(path)?)?;
        let (folder, name) = self.parent(path)?;
        self.change(folder, vec![(name.to_owned(), None)])
    }

    pub(super) fn remove_folder(&mut self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        if !self.folder(self.find(path)?)?.names.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(folder, vec![(name.to_owned(), None)])
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.find(from)?;
        let (from_folder, from_name) = self.parent(from)?;
        let (to_folder, to_name) = self.parent(to)?;
        if self.kind(inode) == Kind::Folder && to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(ErrorKind::InvalidInput.into());
        }
        match self.folder(to_folder)?.names.get(to_name) {
            // POSIX: of two names of one file neither goes.
            Some(&there) if there == inode => return Ok(()),
            Some(&there) => self.replaceable(inode, there)?,
            None => {}
        }
        let (added, removed) = ((to_name.to_owned(), Some(inode)), (from_name.to_owned(), None));
        if from_folder == to_folder {
            return self.change(to_folder, vec![removed, added]);
        }
        self.change(to_folder, vec![added])?;
        self.change(from_folder, vec![removed])
    }

    /// Whether a rename may put one in the place of another.
    fn replaceable(&self, inode: u64, there: u64) -> io::Result<()> {
        match (self.kind(inode), self.node(there)?) {
            (Kind::Folder, Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            (Kind::Folder, Node::Folder(folder)) if !folder.names.is_empty() => {
                Err(ErrorKind::DirectoryNotEmpty.into())
            }
            (Kind::File, Node::Folder(_)) => Err(ErrorKind::IsADirectory.into()),
            _ => Ok(()),
        }
    }
}
