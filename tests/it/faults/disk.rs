//! A project's disk: a layer (`disk.c`) between the runtime's process and the project's folder tells every change and every
//! sync, and makes the calls fail that a test names.
//!
//! From what it told the folder is made as a disk may have it after a power cut. What was synced is there: of a file its
//! bytes, of a folder the names in it. Of the rest, whatever chance says: each write is there, or not, or some of its
//! sectors are; each name that was given, moved or taken away is so, or as it was.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::Random;
use crate::support::Project;

/// What a disk writes whole, or not at all.
const SECTOR_BYTES: u64 = 512;
/// The folder whose state is made anew by a cut. What else a project has is only read.
const STATE: &str = ".tidegate";

/// The disk of one project.
pub struct Disk {
    /// Where the layer's files lie: the journal, and what is to fail.
    beside: TempDir,
    root: PathBuf,
    image: Image,
    /// How far the journal was read.
    read: u64,
    /// How far it was searched for faults, and how many were found since calls began to fail.
    met: (u64, usize),
}

/// Calls that are to fail: the letters of `disk.c`, and where, below the state folder.
pub struct Fault<'a> {
    pub calls: &'a str,
    pub path: &'a str,
    /// So many succeed before.
    pub after: u64,
    pub error: Error,
}

#[derive(Debug, Clone, Copy)]
pub enum Error {
    /// ENOSPC
    Full,
    /// EIO
    Broken,
    /// None: syncs that do nothing succeed.
    Lie,
}

impl Error {
    fn word(self) -> &'static str {
        match self {
            Error::Full => "28",
            Error::Broken => "5",
            Error::Lie => "lie",
        }
    }
}

impl Disk {
    /// Puts the layer between a project's processes and its folder. After each of them, say what becomes of the power.
    pub fn of(project: Project) -> (Disk, Project) {
        let root = project.folder().canonicalize().expect("a project's folder is there");
        let beside = TempDir::new().expect("a temporary folder");
        // There even where a process is killed before it tells a thing.
        fs::write(beside.path().join("journal"), "").expect("a file can be written");
        let text = |path: PathBuf| path.to_str().expect("a temporary folder's name is text").to_owned();
        let project = project
            .env("LD_PRELOAD", &text(layer().to_owned()))
            .env("DISK_ROOT", &text(root.clone()))
            .env("DISK_JOURNAL", &text(beside.path().join("journal")))
            .env("DISK_CONTROL", &text(beside.path().join("control")));
        (Disk { beside, root, image: Image::default(), read: 0, met: (0, 0) }, project)
    }

    /// Makes calls fail from now on, in place of those that failed so far.
    pub fn spoil(&mut self, fault: &Fault<'_>) {
        self.faults();
        self.met.1 = 0;
        let Fault { calls, path, after, error } = fault;
        let path = match *path {
            "." => STATE.to_owned(),
            ".." => ".".to_owned(),
            path => format!("{STATE}/{path}"),
        };
        let written = self.beside.path().join("control.new");
        fs::write(&written, format!("{calls} {path} {after} {}", error.word())).expect("a file can be written");
        fs::rename(written, self.control()).expect("a file can be renamed");
    }

    /// Lets every call succeed again.
    pub fn mend(&self) {
        fs::remove_file(self.control()).expect("something was to fail");
    }

    fn control(&self) -> PathBuf {
        self.beside.path().join("control")
    }

    /// The journal from a place on.
    fn journal(&self, from: u64) -> Vec<u8> {
        let mut journal = fs::File::open(self.beside.path().join("journal")).expect("the journal is there");
        let mut bytes = Vec::new();
        journal.seek(SeekFrom::Start(from)).and_then(|_| journal.read_to_end(&mut bytes)).expect("it can be read");
        bytes
    }

    /// How many calls failed, or were lied about, since they began to.
    pub fn faults(&mut self) -> usize {
        let journal = self.journal(self.met.0);
        let mut records = Records { rest: &journal };
        self.met.1 += records.by_ref().filter(|record| record.kind == "fault").count();
        self.met.0 += (journal.len() - records.rest.len()) as u64;
        self.met.1
    }

    /// Keeps the power on, after a process has died: what it wrote is on its way to the disk still.
    pub fn keep(&mut self) {
        let journal = self.journal(self.read);
        let mut records = Records { rest: &journal };
        for record in records.by_ref() {
            self.image.take(&record);
        }
        self.image.syncs.clear();
        self.read += (journal.len() - records.rest.len()) as u64;
        // What it was about to tell it had not done, as far as anybody knows; the next process tells its own after that.
        let file = fs::File::options().write(true).open(self.beside.path().join("journal"));
        file.and_then(|file| file.set_len(self.read)).expect("the journal is there");
    }

    /// Cuts the power. No process may run.
    pub fn cut(&mut self, cut: Cut, random: &mut Random) {
        self.keep();
        let found = self.image.after_a_cut(cut, &mut random.apart());
        self.image = Image::default();
        let _ = fs::remove_dir_all(self.root.join(STATE));
        for (name, content) in found {
            let path = self.root.join(&name);
            let node = match content {
                None => {
                    fs::create_dir(&path).expect("a folder can be made");
                    Node::Folder
                }
                Some(bytes) => {
                    fs::write(&path, &bytes).expect("a file can be written");
                    let inode = fs::metadata(&path).expect("it is there").ino();
                    self.image.add(inode, File { durable: bytes, pending: Vec::new() })
                }
            };
            self.image.durable.insert(name, node);
        }
        self.image.live = self.image.durable.clone();
    }
}

/// What a cut leaves of what was not synced.
#[derive(Clone, Copy)]
pub enum Cut {
    /// What chance says.
    Any,
    Nothing,
}

/// The layer, compiled once for each test process.
fn layer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (built, name) = (folder.join(format!("disk-{}.so", std::process::id())), folder.join("disk.so"));
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/disk.c");
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&built).arg(source);
        assert!(command.status().expect("a C compiler runs").success(), "the disk's layer does not compile");
        fs::rename(built, &name).expect("a file can be renamed");
        name
    })
}

/// A line of the journal with its bytes.
struct Record<'a> {
    kind: &'a str,
    first: u64,
    second: u64,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    fn text(&self) -> &'a str {
        std::str::from_utf8(self.bytes).expect("names are text")
    }
}

/// The records that came whole.
struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&self.rest[..end]).expect("a record begins with text");
        let words: Vec<&str> = head.split(' ').collect();
        let &[kind, first, second, length] = words.as_slice() else { panic!("no record: {head}") };
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("no record: {head}"));
        let (first, second, begin) = (number(first), number(second), end + 1);
        let bytes = self.rest.get(begin..begin + number(length) as usize)?;
        self.rest = self.rest.get(begin + bytes.len() + 1..)?;
        Some(Record { kind, first, second, bytes })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    /// By its place among the files.
    File(usize),
}

/// What is on the disk for sure, what is on its way there in the order of time, and what a process sees.
#[derive(Default)]
struct Image {
    files: Vec<File>,
    /// The file that has an inode now: one that is gone may be there again after a cut, and its inode is another's.
    inodes: HashMap<u64, usize>,
    durable: BTreeMap<String, Node>,
    pending: Vec<(u64, Naming)>,
    live: BTreeMap<String, Node>,
    /// The syncs that have not ended, by thread: what is synced, and the time when it began.
    syncs: HashMap<u64, (Node, String, u64)>,
    time: u64,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<(u64, Change)>,
}

enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

#[derive(Clone)]
enum Naming {
    Given(String, Node),
    Moved { from: String, to: String, node: Node },
    Taken(String),
}

impl Naming {
    /// The folder whose sync makes it durable.
    fn folder(&self) -> &str {
        let (Naming::Given(name, _) | Naming::Moved { to: name, .. } | Naming::Taken(name)) = self;
        folder_of(name)
    }

    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Naming::Given(name, node) => drop(names.insert(name.clone(), *node)),
            Naming::Moved { from, to, node } => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
            Naming::Taken(name) => drop(names.remove(name)),
        }
    }
}

/// `.` for what lies in the root.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

impl Image {
    fn take(&mut self, record: &Record<'_>) {
        self.time += 1;
        match record.kind {
            "create" => {
                let node = self.add(record.first, File::default());
                self.name(Naming::Given(record.text().to_owned(), node));
            }
            "mkdir" => self.name(Naming::Given(record.text().to_owned(), Node::Folder)),
            "rename" => {
                let (from, to) = record.text().split_once('\n').expect("two names");
                let node = self.live[from];
                self.name(Naming::Moved { from: from.to_owned(), to: to.to_owned(), node });
            }
            "unlink" => self.name(Naming::Taken(record.text().to_owned())),
            "write" => self.change(record.first, Change::Write { offset: record.second, bytes: record.bytes.to_vec() }),
            "truncate" => self.change(record.first, Change::Truncate(record.second)),
            "begin" => {
                let name = record.text();
                let is_folder = name == "." || self.live.get(name) == Some(&Node::Folder);
                let node = if is_folder { Node::Folder } else { Node::File(self.inodes[&record.second]) };
                self.syncs.insert(record.first, (node, name.to_owned(), self.time));
            }
            "end" => self.sync(record.first),
            "fault" if record.first == u64::from(b's') && record.second != 0 => self.give_up(record.text()),
            "fault" => {}
            other => panic!("the layer told of {other}"),
        }
    }

    fn add(&mut self, inode: u64, file: File) -> Node {
        self.files.push(file);
        self.inodes.insert(inode, self.files.len() - 1);
        Node::File(self.files.len() - 1)
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.live);
        self.pending.push((self.time, naming));
    }

    fn change(&mut self, inode: u64, change: Change) {
        // A file was made, or there, before it is written to.
        let file = self.inodes[&inode];
        self.files[file].pending.push((self.time, change));
    }

    /// The sync of a thread has ended: what was changed before it began is durable.
    fn sync(&mut self, thread: u64) {
        let (node, name, began) = self.syncs.remove(&thread).expect("a sync begins before it ends");
        match node {
            Node::Folder => {
                for (_, naming) in
                    self.pending.extract_if(.., |(time, naming)| *time < began && naming.folder() == name)
                {
                    naming.apply(&mut self.durable);
                }
            }
            Node::File(file) => {
                let File { durable, pending } = &mut self.files[file];
                for (_, change) in pending.extract_if(.., |(time, _)| *time < began) {
                    change.apply(durable);
                }
            }
        }
    }

    /// A sync has failed: the system may have let go of what it should have written, and no later one writes it. One of the
    /// same that is under way may still succeed.
    fn give_up(&mut self, name: &str) {
        let under_way = self.syncs.values().filter(|(_, synced, _)| synced == name).map(|(.., began)| *began).max();
        let is_taken = |time: &u64| under_way.is_some_and(|began| *time < began);
        match self.live.get(name) {
            Some(Node::File(file)) => self.files[*file].pending.retain(|(time, _)| is_taken(time)),
            Some(Node::Folder) | None => {
                self.pending.retain(|(time, naming)| naming.folder() != name || is_taken(time));
            }
        }
    }

    /// The names that are found after a cut, in order, each with its bytes if it is a file's.
    fn after_a_cut(&self, cut: Cut, random: &mut Random) -> Vec<(String, Option<Vec<u8>>)> {
        let mut names = self.durable.clone();
        let luck = Luck::of(cut, random);
        for (_, naming) in &self.pending {
            if luck.keeps(random) {
                naming.apply(&mut names);
            }
        }
        let mut found: Vec<(String, Option<Vec<u8>>)> = Vec::new();
        for (name, node) in &names {
            let folder = folder_of(name);
            let has_folder = folder == "." || found.iter().any(|(name, content)| name == folder && content.is_none());
            match node {
                // A name in a folder that is not there itself is lost with it.
                _ if !has_folder => {}
                Node::Folder => found.push((name.clone(), None)),
                Node::File(_) if name.ends_with("-shm") => found.extend(index(name, random)),
                Node::File(file) => found.push((name.clone(), Some(self.files[*file].after_a_cut(cut, random)))),
            }
        }
        found
    }
}

/// The index of a write-ahead log is memory: gone after a power cut, or anything.
fn index(name: &str, random: &mut Random) -> Option<(String, Option<Vec<u8>>)> {
    let garbage = (0..random.below(65_536)).map(|_| random.next() as u8).collect();
    random.chance(4).then(|| (name.to_owned(), Some(garbage)))
}

/// How much of what was not synced is there anyway, in eighths.
struct Luck(u64);

impl Luck {
    fn of(cut: Cut, random: &mut Random) -> Self {
        match cut {
            Cut::Any => Luck([0, 4, 7, 8][random.below(4) as usize]),
            Cut::Nothing => Luck(0),
        }
    }

    fn keeps(&self, random: &mut Random) -> bool {
        random.chance(self.0)
    }
}

impl File {
    fn after_a_cut(&self, cut: Cut, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let luck = Luck::of(cut, random);
        let kept: Vec<&Change> = self.pending.iter().map(|(_, change)| change).filter(|_| luck.keeps(random)).collect();
        for (index, change) in kept.iter().enumerate() {
            let is_last = index + 1 == kept.len();
            if is_last && random.chance(4) || random.chance(1) {
                change.tear(&mut bytes, random);
            } else {
                change.apply(&mut bytes);
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => write(content, *offset, bytes),
            Change::Truncate(length) => content.resize(*length as usize, 0),
        }
    }

    /// Writes the sectors up to one of them, or some of them.
    fn tear(&self, content: &mut Vec<u8>, random: &mut Random) {
        let Change::Write { offset, bytes } = self else { return self.apply(content) };
        let (is_cut, end) = (random.chance(4), random.below(bytes.len() as u64));
        let mut at = 0;
        while at < bytes.len() {
            let place = offset + at as u64;
            let length = ((SECTOR_BYTES - place % SECTOR_BYTES) as usize).min(bytes.len() - at);
            let is_there = if is_cut { at as u64 + length as u64 <= end } else { random.chance(4) };
            if is_there {
                write(content, place, &bytes[at..at + length]);
            }
            at += length;
        }
    }
}

fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (begin, end) = (offset as usize, offset as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[begin..end].copy_from_slice(bytes);
}
