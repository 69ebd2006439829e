//! Paths of requests: normalised here, so that none leaves the connection's base path whatever a server makes of it.

/// How often a server in a row might decode a path.
const DECODINGS: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {path:?} {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

/// Path and query with dot segments resolved and empty segments dropped. A path that climbs above its start, or might once
/// a server has decoded it, is refused.
pub fn normalise(path_and_query: &str) -> Result<String, PathError> {
    let error = |reason| PathError { path: path_and_query.chars().take(200).collect(), reason };
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    if path.contains(['\\', '#']) || path_and_query.contains(|c: char| c.is_control() || c == ' ') {
        return Err(error("has a character that a URL cannot have"));
    }
    if hides_a_dot_segment(path) {
        return Err(error("has an encoded dot segment"));
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or_else(|| error("climbs above the connection's base path"))?;
            }
            segment => segments.push(segment),
        }
    }
    let mut normalised = format!("/{}", segments.join("/"));
    // `/items/` and `/items` may be two resources.
    if normalised.len() > 1 && (path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..")) {
        normalised.push('/');
    }
    if let Some(query) = query {
        normalised.push('?');
        normalised.push_str(query);
    }
    Ok(normalised)
}

/// Whether decoding makes a dot segment that is not there as text, between slashes or backslashes, encoded or not.
fn hides_a_dot_segment(path: &str) -> bool {
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..DECODINGS {
        let next = decode(&decoded);
        if next == decoded {
            return false;
        }
        decoded = next;
        let mut segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
        // A plain dot segment beside an encoded character is refused too: no honest client sends both.
        if segments.any(|segment| matches!(segment, b"." | b".."))
            || decoded.iter().any(|byte| matches!(byte, b'\\' | 0))
        {
            return true;
        }
    }
    decode(&decoded) != decoded
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        match (first, hex(tail.first()), hex(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(normalise(path).as_deref(), Ok(expected), "{path}");
    }

    #[test]
    fn a_path_is_normalised_and_its_query_kept() {
        check("", "/");
        check("/", "/");
        check("?page=2", "/?page=2");
        check("/repos/a/b", "/repos/a/b");
        check("/repos//a///b/", "/repos/a/b/");
        check("//evil.example/x", "/evil.example/x");
        check("/a/./b/../c", "/a/c");
        check("/a/..", "/");
        check("/a/b/..", "/a/");
        check("/a?x=../../b", "/a?x=../../b");
        check("/projects/group%2Fname", "/projects/group%2Fname");
        check("/a%20b/100%25", "/a%20b/100%25");
        check("/...", "/...");
    }

    #[test]
    fn a_path_that_leaves_the_base_or_might_is_refused() {
        let refused = [
            "/..",
            "/../x",
            "/a/../../x",
            "..",
            "/%2e%2e/x",
            "/.%2e/x",
            "/a/%2E/x",
            "/a%2f..%2fx",
            "/a/..%2fx",
            "/a/..%5cx",
            "/a\\..\\x",
            "/a/%5c",
            "/%252e%252e/x",
            "/%25252e%25252e/",
            "/a%00",
            "/a b",
            "/a#b",
            "/a\r\nhost: x",
        ];
        for path in refused {
            assert!(normalise(path).is_err(), "{path}");
        }
    }
}
