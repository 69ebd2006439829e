//! Sources of what is debugged, where they can be found.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::invoke::debug::Place;

/// Lines before and after the one that is held at.
const AROUND: usize = 3;

/// Finds sources where the compiler had them, or in a folder that somebody named.
pub struct Sources {
    folder: Option<PathBuf>,
    here: PathBuf,
    read: HashMap<String, Option<String>>,
}

impl Sources {
    pub fn new(folder: Option<PathBuf>) -> Self {
        Sources { folder, here: std::env::current_dir().unwrap_or_default(), read: HashMap::new() }
    }

    /// `FILE:LINE`, from this folder where it is in it.
    pub fn name(&self, place: &Place) -> String {
        let file = Path::new(&place.file);
        format!("{}:{}", file.strip_prefix(&self.here).unwrap_or(file).display(), place.line)
    }

    /// The lines around a place; none where the source is not found.
    pub fn around(&mut self, place: &Place) -> Option<String> {
        let folder = self.folder.as_deref();
        let text = self.read.entry(place.file.clone()).or_insert_with(|| find(folder, Path::new(&place.file)));
        let line = place.line as usize;
        let first = line.saturating_sub(AROUND).max(1);
        let lines = text.as_ref()?.lines().zip(1..).skip(first - 1).take(line + AROUND + 1 - first);
        let shown = lines.map(|(text, number)| {
            let mark = if number == line { "->" } else { "  " };
            format!("  {mark} {number:>4}  {text}").trim_end().to_owned() + "\n"
        });
        Some(shown.collect())
    }
}

/// The text of a source: in the folder by as much of the end of its path as is there, or where its path says.
fn find(folder: Option<&Path>, path: &Path) -> Option<String> {
    let parts: Vec<_> = path.iter().collect();
    let within = folder.into_iter().flat_map(|folder| (1..parts.len()).map(move |skipped| (folder, skipped)));
    let mut within = within.map(|(folder, skipped)| folder.join(parts[skipped..].iter().collect::<PathBuf>()));
    within.find_map(|path| fs::read_to_string(path).ok()).or_else(|| fs::read_to_string(path).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_in_a_folder_by_the_end_of_its_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("hello/src")).unwrap();
        fs::write(folder.path().join("hello/src/lib.rs"), "one\ntwo\n\nfour\nfive\nsix\n").unwrap();
        let place = Place { file: "/elsewhere/hello/src/lib.rs".to_owned(), line: 2 };
        let shown = Sources::new(Some(folder.path().to_owned())).around(&place).unwrap();
        assert_eq!(shown, "        1  one\n  ->    2  two\n        3\n        4  four\n        5  five\n");
        assert_eq!(Sources::new(None).around(&place), None);
    }
}
