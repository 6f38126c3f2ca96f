//! What a [`super::FaultDisk`] holds: files with their durable parts, names with their durable parts, and chance.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::disk::{FileEntry, parent_of};
use super::{CrashTail, FaultPlan, kind_of};

/// The longest write that a disk with short writes takes at once.
const SHORT_WRITE_BYTES: u64 = 7;

/// The identity of a file, apart from its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u64);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(FileId),
}

/// The bytes of a file. They are only ever appended to, so what is durable is a prefix.
#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
    /// What failed fsyncs dropped: still readable until a crash, zeros after it.
    lost: Vec<Range<usize>>,
}

/// A change of names that no folder fsync has covered yet.
#[derive(Clone)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Move(PathBuf, PathBuf, Node),
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            NameChange::Add(path, node) => {
                names.insert(path, node);
            }
            NameChange::Remove(path) => {
                names.remove(&path);
            }
            NameChange::Move(from, to, node) => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }

    /// True if an fsync of `folder` makes it durable. A move is one transaction, whichever folder is synced.
    fn touches(&self, folder: &Path) -> bool {
        match self {
            NameChange::Add(path, _) | NameChange::Remove(path) => parent_of(path) == folder,
            NameChange::Move(from, to, _) => parent_of(from) == folder || parent_of(to) == folder,
        }
    }
}

/// The whole disk.
pub(super) struct State {
    pub(super) plan: FaultPlan,
    pub(super) steps: u64,
    pub(super) syncs: u64,
    /// Crashes so far; a handle of an earlier epoch is dead.
    pub(super) epoch: u64,
    crashed: bool,
    random: u64,
    next_id: u64,
    next_temporary: u64,
    files: BTreeMap<FileId, Content>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending: Vec<NameChange>,
}

/// The error of a device that failed.
pub(super) fn eio() -> io::Error {
    nix::errno::Errno::EIO.into()
}

fn crashed_error() -> io::Error {
    io::Error::other("the disk has crashed")
}

impl State {
    pub(super) fn new(seed: u64, plan: FaultPlan) -> Self {
        let roots = BTreeMap::from([(PathBuf::from("/"), Node::Dir), (PathBuf::from("."), Node::Dir)]);
        State {
            plan,
            steps: 0,
            syncs: 0,
            epoch: 0,
            crashed: false,
            random: seed,
            next_id: 0,
            next_temporary: 0,
            files: BTreeMap::new(),
            names: roots.clone(),
            durable_names: roots,
            pending: Vec::new(),
        }
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.crashed
    }

    /// The next number of the seed's sequence (SplitMix64), below `bound`; 0 if `bound` is 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).checked_rem(bound).unwrap_or(0)
    }

    /// Counts a step, or crashes in its place.
    pub(super) fn step(&mut self) -> io::Result<()> {
        self.check_epoch(None)?;
        self.steps += 1;
        if self.plan.crash_at_step == Some(self.steps) {
            self.crash();
            return Err(crashed_error());
        }
        Ok(())
    }

    /// Refuses calls on a crashed disk and handles from before a crash.
    pub(super) fn check_epoch(&self, epoch: Option<u64>) -> io::Result<()> {
        if self.crashed || epoch.is_some_and(|epoch| epoch != self.epoch) {
            return Err(crashed_error());
        }
        Ok(())
    }

    pub(super) fn node(&self, path: &Path) -> io::Result<Node> {
        self.check_epoch(None)?;
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn lookup(&self, path: &Path) -> io::Result<FileId> {
        match self.node(path)? {
            Node::File(id) => Ok(id),
            Node::Dir => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn require_dir(&self, path: &Path) -> io::Result<()> {
        match self.node(path)? {
            Node::Dir => Ok(()),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn len_of(&self, id: FileId) -> usize {
        self.files.get(&id).map_or(0, |file| file.bytes.len())
    }

    pub(super) fn read(&self, id: FileId) -> io::Result<&[u8]> {
        self.check_epoch(None)?;
        if self.plan.reads_fail {
            return Err(eio());
        }
        self.files.get(&id).map(|file| &file.bytes[..]).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        self.require_dir(path)?;
        let below = self.names.iter().filter(|(name, _)| name.as_path() != path && parent_of(name) == path);
        let entry = |(name, node): (&PathBuf, &Node)| {
            let len = match node {
                Node::File(id) => self.len_of(*id) as u64,
                Node::Dir => 0,
            };
            Some(FileEntry { name: name.file_name()?.to_owned(), len, kind: kind_of(*node) })
        };
        Ok(below.filter_map(entry).collect())
    }

    pub(super) fn next_temporary(&mut self) -> u64 {
        self.next_temporary += 1;
        self.next_temporary
    }

    fn require_free(&self, path: &Path) -> io::Result<()> {
        self.require_dir(parent_of(path))?;
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    /// Changes the names at once, and durably once their folder is fsynced.
    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }

    fn new_file(&mut self, content: Content) -> FileId {
        self.next_id += 1;
        let id = FileId(self.next_id);
        self.files.insert(id, content);
        id
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<FileId> {
        self.require_free(path)?;
        self.step()?;
        if self.plan.full_after_bytes == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = self.new_file(Content::default());
        self.add(path, Node::File(id));
        Ok(id)
    }

    fn add(&mut self, path: &Path, node: Node) {
        self.change(NameChange::Add(path.to_owned(), node));
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.require_free(path)?;
        self.step()?;
        self.add(path, Node::Dir);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.lookup(from)?;
        self.require_dir(parent_of(to))?;
        if self.names.get(to) == Some(&Node::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.step()?;
        self.change(NameChange::Move(from.to_owned(), to.to_owned(), Node::File(id)));
        Ok(())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.lookup(from)?;
        self.require_free(to)?;
        self.step()?;
        self.add(to, Node::File(id));
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        self.lookup(path)?;
        self.step()?;
        self.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        self.require_dir(path)?;
        if self.names.keys().any(|name| name.as_path() != path && parent_of(name) == path) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.step()?;
        self.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    /// One write call: perhaps short, perhaps interrupted, cut at the space that is left.
    pub(super) fn write(&mut self, id: FileId, bytes: &[u8]) -> io::Result<usize> {
        self.step()?;
        let mut take = bytes.len();
        if self.plan.short_writes {
            if self.below(8) == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = self.below(SHORT_WRITE_BYTES) + 1;
            take = take.min(most as usize);
        }
        if let Some(left) = &mut self.plan.full_after_bytes {
            take = take.min(usize::try_from(*left).unwrap_or(usize::MAX));
            if take == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *left -= take as u64;
        }
        let file = self.files.get_mut(&id).ok_or_else(eio)?;
        file.bytes.extend_from_slice(bytes.get(..take).unwrap_or_default());
        Ok(take)
    }

    pub(super) fn file_synced(&mut self, id: FileId, covered: usize) {
        if let Some(file) = self.files.get_mut(&id) {
            file.synced = file.synced.max(covered);
        }
    }

    /// A failed fsync: the dirty pages count as clean from now on, so no later fsync writes them.
    pub(super) fn lose_unsynced(&mut self, id: FileId, covered: usize) {
        if let Some(file) = self.files.get_mut(&id)
            && file.synced < covered
        {
            file.lost.push(file.synced..covered);
        }
    }

    pub(super) fn folder_synced(&mut self, folder: &Path) {
        let (done, rest) = std::mem::take(&mut self.pending).into_iter().partition(|c| c.touches(folder));
        self.pending = rest;
        let done: Vec<NameChange> = done;
        done.into_iter().for_each(|change| change.apply(&mut self.durable_names));
    }

    /// Loses what is not durable. What survives is settled here and seen after the restart.
    pub(super) fn crash(&mut self) {
        if self.crashed {
            return;
        }
        self.crashed = true;
        self.epoch += 1;
        for change in std::mem::take(&mut self.pending) {
            if self.plan.unsynced_names_may_survive && self.below(2) == 0 {
                change.apply(&mut self.durable_names);
            }
        }
        self.drop_orphans();
        self.names = self.durable_names.clone();
        let tail = self.plan.crash_tail;
        let mut files = std::mem::take(&mut self.files);
        let named: Vec<Node> = self.names.values().copied().collect();
        files.retain(|id, _| named.contains(&Node::File(*id)));
        for file in files.values_mut() {
            self.settle(file, tail);
        }
        self.files = files;
    }

    /// Removes durable names whose folder is gone, as a lost folder takes all in it along.
    fn drop_orphans(&mut self) {
        loop {
            let before = self.durable_names.len();
            let dirs: Vec<PathBuf> = self
                .durable_names
                .iter()
                .filter(|(_, node)| **node == Node::Dir)
                .map(|(path, _)| path.clone())
                .collect();
            self.durable_names.retain(|path, _| dirs.iter().any(|dir| dir == parent_of(path)));
            if self.durable_names.len() == before {
                return;
            }
        }
    }

    /// Cuts a file to what survives a crash and fills its lost ranges with zeros.
    fn settle(&mut self, file: &mut Content, tail: CrashTail) {
        let unsynced = file.bytes.len().saturating_sub(file.synced);
        let survives = match tail {
            CrashTail::Lost => 0,
            CrashTail::Torn | CrashTail::Zeroed => self.below(unsynced as u64 + 1) as usize,
        };
        file.bytes.truncate(file.synced + survives);
        if tail == CrashTail::Zeroed {
            let from = file.synced + self.below(survives as u64 + 1) as usize;
            file.lost.push(from..file.bytes.len());
        }
        for range in std::mem::take(&mut file.lost) {
            let end = range.end.min(file.bytes.len());
            if let Some(lost) = file.bytes.get_mut(range.start.min(end)..end) {
                lost.fill(0);
            }
        }
        file.synced = file.bytes.len();
    }

    pub(super) fn restart(&mut self) {
        self.crash();
        self.crashed = false;
        self.plan.crash_at_step = None;
    }

    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) {
        let mut folder = parent_of(path);
        while !self.names.contains_key(folder) {
            self.names.insert(folder.to_owned(), Node::Dir);
            self.durable_names.insert(folder.to_owned(), Node::Dir);
            folder = parent_of(folder);
        }
        let content = Content { bytes: bytes.to_vec(), synced: bytes.len(), lost: Vec::new() };
        let node = Node::File(self.new_file(content));
        self.names.insert(path.to_owned(), node);
        self.durable_names.insert(path.to_owned(), node);
    }

    pub(super) fn corrupt(&mut self, path: &Path, offset: usize, xor: u8) -> bool {
        let Some(Node::File(id)) = self.names.get(path).copied() else { return false };
        let byte = self.files.get_mut(&id).and_then(|file| file.bytes.get_mut(offset));
        byte.map(|byte| *byte ^= xor).is_some()
    }
}
