//! What the figures were taken on.

use std::path::Path;

use serde::Serialize;

/// Without it a figure means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub cores: usize,
    /// The kernel's name and release; empty where the system does not tell.
    pub kernel: String,
    /// Type of the file system that was written to; empty where the system does not tell.
    pub filesystem: String,
    /// `release` or `dev`.
    pub profile: &'static str,
}

impl Machine {
    /// This machine, with the disk that `folder` is on.
    pub fn of(folder: &Path) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Machine {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            kernel: format!("{} {}", read("/proc/sys/kernel/ostype").trim(), release.trim()).trim().to_owned(),
            filesystem: filesystem(&read("/proc/self/mounts"), &folder).unwrap_or_default().to_owned(),
            profile: if is_optimised() { "release" } else { "dev" },
        }
    }

    /// Whether what is synced goes no further than memory.
    pub fn is_in_memory(&self) -> bool {
        ["tmpfs", "ramfs"].contains(&self.filesystem.as_str())
    }
}

/// Whether this binary is one whose figures mean something.
pub fn is_optimised() -> bool {
    cfg!(not(debug_assertions))
}

/// The type of what is mounted nearest above `path`. Of several at one place the last hides the others.
fn filesystem<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounted.filter(|(place, _)| path.starts_with(place));
    above.max_by_key(|(place, _)| place.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
overlay / overlay rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/vdb /tmp/wide xfs rw 0 0
/dev/vda / ext4 rw 0 0
";

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(filesystem(MOUNTS, Path::new(path)), Some(expected), "{path}");
    }

    #[test]
    fn a_folder_is_on_what_is_mounted_nearest_above_it() {
        check("/home/ana", "ext4");
        check("/tmp/x", "tmpfs");
        check("/tmp/wide/x", "xfs");
        check("/tmp/wider", "tmpfs");
        assert_eq!(filesystem("", Path::new("/")), None);
    }

    #[test]
    fn memory_is_no_disk() {
        let machine = Machine { filesystem: "tmpfs".to_owned(), ..Machine::of(Path::new("/")) };
        assert!(machine.is_in_memory());
    }
}
