//! What a program says that it made: lines `name=value` in the file that `TIDEGATE_RESULTS` names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

const BYTES_MAX: u64 = 64 * 1024;
const RESULTS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 63;

/// Why a program's results do not count.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("its results cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("its results are no regular file of text, {BYTES_MAX} bytes at most")]
    NoText,
    #[error("line {line} of its results is not name=value, with a name of a-z, 0-9, - and _ that begins with a letter")]
    Line { line: usize },
    #[error("it has more than {RESULTS_MAX} results")]
    Many,
}

/// Reads the file, if the program made it. A later line of the same name counts.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>, ResultsError> {
    // A pipe in its place would be waited for without end, and a link leads elsewhere.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(ResultsError::Unreadable(error)),
        Ok(found) if !found.is_file() || found.len() > BYTES_MAX => return Err(ResultsError::NoText),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ResultsError::Unreadable)?;
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(ResultsError::Unreadable)?;
    parse(&String::from_utf8(bytes).map_err(|_| ResultsError::NoText)?)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, ResultsError> {
    let mut results = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let (name, value) =
            line.split_once('=').filter(|(name, _)| is_name(name)).ok_or(ResultsError::Line { line: index + 1 })?;
        results.insert(name.to_owned(), value.to_owned());
    }
    if results.len() > RESULTS_MAX { Err(ResultsError::Many) } else { Ok(results) }
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        match (parse(text), expected) {
            (Ok(found), Ok(expected)) => {
                let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                assert_eq!(found, expected, "{text:?}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text:?}: {error}"),
            (found, _) => panic!("{text:?}: {found:?}"),
        }
    }

    #[test]
    fn a_line_is_a_name_and_a_value() {
        check("", Ok(&[]));
        check("digest=sha256:ab\n\nurl=https://x/?a=b\n", Ok(&[("digest", "sha256:ab"), ("url", "https://x/?a=b")]));
        check("a=1\na=2", Ok(&[("a", "2")]));
        check("a=", Ok(&[("a", "")]));
        check("a=1\r\nb=2\r\n", Ok(&[("a", "1"), ("b", "2")]));
        check("a=1\nb", Err("line 2 of its results"));
        check("A=1", Err("line 1"));
        check("=1", Err("line 1"));
        let many: String = (0..65).map(|index| format!("a{index}=1\n")).collect();
        check(&many, Err("more than 64"));
    }

    #[test]
    fn only_a_small_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        assert!(read(&path).unwrap().is_empty());
        fs::write(&path, "a=1").unwrap();
        assert_eq!(read(&path).unwrap()["a"], "1");
        fs::write(&path, [b'a', b'=', 0xff]).unwrap();
        assert!(matches!(read(&path), Err(ResultsError::NoText)));
        fs::write(&path, vec![b'\n'; BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(read(&path), Err(ResultsError::NoText)));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(matches!(read(&path), Err(ResultsError::NoText)));
    }
}
