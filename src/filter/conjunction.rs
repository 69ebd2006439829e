//! The parts of an expression that all must hold: what stands between its outermost `&&`.

/// Splits `source` at the `&&` that stand outside brackets, texts and comments. One part if there is none, or if the
/// expression is no conjunction because a weaker operator (`||`, `?:`) stands beside them.
pub(super) fn split(source: &str) -> Vec<&str> {
    let bytes = source.as_bytes();
    let (mut parts, mut start, mut depth, mut at) = (Vec::new(), 0, 0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' | b'\'' => {
                at = text_end(bytes, at);
                continue;
            }
            b'/' if bytes[at..].starts_with(b"//") => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'&' if depth == 0 && bytes[at..].starts_with(b"&&") => {
                parts.push(source[start..at].trim());
                at += 2;
                start = at;
                continue;
            }
            b'|' if depth == 0 => return vec![source.trim()],
            b'?' if depth == 0 && !is_optional(bytes, at) => return vec![source.trim()],
            _ => {}
        }
        at += 1;
    }
    parts.push(source[start..].trim());
    parts
}

/// `a.?b` is a selection, not a condition.
fn is_optional(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1] == b'.'
}

/// Where the text that begins at `start` ends: after its closing quotes, or at the end of the source.
fn text_end(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let is_raw = start > 0 && matches!(bytes[start - 1], b'r' | b'R');
    let closing: &[u8] = if bytes[start..].starts_with(&[quote; 3]) { &[quote; 3] } else { &[quote] };
    let mut at = start + closing.len();
    while at < bytes.len() {
        if bytes[at] == b'\\' && !is_raw {
            at += 2;
        } else if bytes[at..].starts_with(closing) {
            return at + closing.len();
        } else {
            at += 1;
        }
    }
    bytes.len()
}
