//! What a crash leaves.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::tree::{File, Folder, Node, ROOT, Tree, Write, apply};

/// Gives one of so many choices.
type Choose<'a> = &'a mut dyn FnMut(usize) -> usize;

impl Tree {
    /// A tree that a crash may leave, in which all is durable.
    pub(super) fn crash(&self, choose: Choose<'_>) -> Self {
        let mut left_folders = self.crash_folders(choose);
        let mut left = HashMap::new();
        let mut seen = HashSet::from([ROOT]);
        let mut folders = vec![ROOT];
        // What no name leads to any more is lost.
        while let Some(inode) = folders.pop() {
            let Some(mut folder) = left_folders.remove(&inode) else { continue };
            // A folder in two places after half a rename: file systems see to it that there is one.
            folder.names.retain(|_, inode| seen.insert(*inode) || self.file(*inode).is_ok());
            folder.durable.clone_from(&folder.names);
            for name in folder.names.values() {
                match self.nodes.get(name) {
                    Some(Node::File(file)) => {
                        left.entry(*name).or_insert_with(|| Node::File(file.crash(choose)));
                    }
                    _ => folders.push(*name),
                }
            }
            left.insert(inode, Node::Folder(folder));
        }
        Self { nodes: left, next: self.next, now: self.now }
    }

    /// What is left of each folder. Giving a folder another name is one step for file systems, also from one folder to
    /// another: one that had a name before and still has one is not lost with half of that.
    fn crash_folders(&self, choose: Choose<'_>) -> BTreeMap<u64, Folder> {
        let folders: BTreeMap<u64, &Folder> = self
            .nodes
            .iter()
            .filter_map(|(inode, node)| match node {
                Node::Folder(folder) => Some((*inode, folder)),
                Node::File(_) => None,
            })
            .collect();
        let mut left: BTreeMap<u64, Folder> =
            folders.iter().map(|(inode, folder)| (*inode, folder.crash(choose))).collect();
        let has_name =
            |inode: u64| folders.values().any(|folder| folder.names.values().any(|it| *it == inode));
        for (parent, folder) in &folders {
            for (name, inode) in &folder.durable {
                let is_lost = folders.contains_key(inode)
                    && has_name(*inode)
                    && !left.values().any(|folder| folder.names.values().any(|it| it == inode));
                if let Some(parent) = left.get_mut(parent).filter(|_| is_lost) {
                    parent.names.entry(name.clone()).or_insert(*inode);
                    parent.durable.clone_from(&parent.names);
                }
            }
        }
        left
    }
}

impl Folder {
    fn crash(&self, choose: Choose<'_>) -> Self {
        let mut names: BTreeMap<String, u64> = self.durable.clone();
        let mut lost: HashSet<&str> = HashSet::new();
        for change in &self.pending {
            // What follows on something lost is lost as well: of one name a beginning is left.
            let follows = change.iter().any(|(name, _)| lost.contains(name.as_str()));
            if !follows && choose(2) == 1 {
                apply(change, &mut names);
            } else {
                lost.extend(change.iter().map(|(name, _)| name.as_str()));
            }
        }
        let mtime = if names == self.durable { self.durable_mtime } else { self.mtime };
        Self { durable: names.clone(), names, mtime, durable_mtime: mtime, pending: Vec::new() }
    }
}

impl File {
    fn crash(&self, choose: Choose<'_>) -> Self {
        let mut content = self.durable.clone();
        let whole = if self.pending.is_empty() { 0 } else { choose(self.pending.len() + 1) };
        for write in self.pending.iter().take(whole) {
            // It could be done before.
            let _ = write.apply(&mut content);
        }
        if let Some(Write::At(offset, octets)) = self.pending.get(whole)
            && octets.len() > 1
        {
            let torn = choose(octets.len());
            let _ = Write::At(*offset, octets[..torn].to_vec()).apply(&mut content);
        }
        let mtime =
            if self.mtime != self.durable_mtime && choose(2) == 1 { self.mtime } else { self.durable_mtime };
        Self { durable: content.clone(), content, mtime, durable_mtime: mtime, pending: Vec::new() }
    }
}
