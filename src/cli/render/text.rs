//! Colours, widths, and text that is safe to show.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::deployment::event_type;

/// Hex digits of a commit's id; a digest has more.
const COMMIT_DIGITS: usize = 40;
const BRIEF_DIGITS: usize = 12;

/// How to show things: whether in colour, how wide, and what "ago" is measured from.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub colour: bool,
    /// Columns of the terminal; `usize::MAX` where the reader is no terminal, so that nothing is cut.
    pub width: usize,
    pub now: Timestamp,
}

/// What a colour says, not which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Good,
    Bad,
    Waiting,
    Strong,
    Faint,
}

impl Look {
    /// The text in that colour, or as it is where there are none.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Good => "32",
            Colour::Bad => "31",
            Colour::Waiting => "33",
            Colour::Strong => "1",
            Colour::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    pub fn good(&self, text: &str) -> String {
        self.paint(Colour::Good, text)
    }

    pub fn bad(&self, text: &str) -> String {
        self.paint(Colour::Bad, text)
    }

    pub fn waiting(&self, text: &str) -> String {
        self.paint(Colour::Waiting, text)
    }

    pub fn strong(&self, text: &str) -> String {
        self.paint(Colour::Strong, text)
    }

    pub fn faint(&self, text: &str) -> String {
        self.paint(Colour::Faint, text)
    }
}

/// The text with control characters spelled out. What senders wrote is shown to operators: an escape sequence in a
/// subject must not move their cursor or rename their window.
pub fn clean(text: &str) -> Cow<'_, str> {
    // Direction overrides can make a line read as another one.
    let unsafe_char = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.chars().any(unsafe_char) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(|c| if unsafe_char(c) { c.escape_default().collect() } else { vec![c] }).collect())
}

/// One word of a command that is shown to be pasted into a shell: quoted where it would read as more than that.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// At most `max` characters, the last one `…` if some are missing.
pub fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    if text.chars().count() <= max {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
}

/// A subject as a line of many shows it: commits and digests by their first digits, and a package URL without what only a
/// program needs. What is shown so is found again by `#position`.
pub fn brief(subject: &str) -> String {
    let subject = subject.split_once("?repository_url=").map_or(subject, |(package, _)| package).replace("%3A", ":");
    let mut text = String::with_capacity(subject.len());
    let mut rest = subject.as_str();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !matches!(c, '0'..='9' | 'a'..='f')).unwrap_or(rest.len());
        let (hex, after) = rest.split_at(digits);
        text += if digits >= COMMIT_DIGITS { &hex[..BRIEF_DIGITS] } else { hex };
        let other = after.find(|c: char| matches!(c, '0'..='9' | 'a'..='f')).unwrap_or(after.len());
        text += &after[..other];
        rest = &after[other..];
    }
    clean(&text).into_owned()
}

/// A type as a line of many shows it: by its short name, if the catalogue has one. `--type` takes either. A type that is
/// spelled like a short name stands in quotes, since it is another.
pub fn brief_type(ty: &str) -> String {
    match event_type(ty) {
        Some(entry) if entry.name == ty => format!("{ty:?}"),
        Some(entry) => entry.name.to_owned(),
        None => clean(ty).into_owned(),
    }
}

/// Lines of at most `width` characters, broken between words; what stands in backquotes, to be copied, is one word. A word
/// that is longer is broken itself.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        let characters: Vec<char> = word.chars().collect();
        for part in characters.chunks(width.max(1)) {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + characters.len() <= width => {
                    line.push(' ');
                    line.extend(part);
                }
                _ => lines.push(part.iter().collect()),
            }
        }
    }
    lines
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if quoted => *last += &format!(" {word}"),
            _ => words.push(word.to_owned()),
        }
        quoted ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_subject_has_the_first_digits_of_commits_and_digests() {
        let (commit, digest) = ("0123456789abcdef".repeat(3)[..40].to_owned(), "fedcba9876543210".repeat(4));
        let check = |subject: &str, brief_one: &str| assert_eq!(brief(subject), brief_one, "{subject}");
        check(&format!("acme/shop/commit/{commit}"), "acme/shop/commit/0123456789ab");
        check(
            &format!("pkg:oci/shop@sha256%3A{digest}?repository_url=host/acme/shop"),
            "pkg:oci/shop@sha256:fedcba987654",
        );
        check(&format!("{commit} and sha256:{digest}"), "0123456789ab and sha256:fedcba987654");
        check("acme/shop/runs/a484bf57b094/component", "acme/shop/runs/a484bf57b094/component");
        check("grün\u{1b}", "grün\\u{1b}");
        check("", "");
    }

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(clean("abc\u{202e}def"), "abc\\u{202e}def");
        assert_eq!(clean("grün ↯ 日本"), "grün ↯ 日本");
    }

    #[test]
    fn a_shell_reads_a_word_as_it_was() {
        for word in ["kept", "my shop", "it's", "", "$HOME", "a\nb", "~", "a*", "#1", "grün", "sha256:0a", "é'\"\\"] {
            let script = format!("printf %s {}", shell_word(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
        assert_eq!(shell_word("target/debug/tidegate"), "target/debug/tidegate");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdef", 4), "abc…");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a  considerable b", 5), ["a", "consi", "derab", "le b"]);
        assert_eq!(wrap("say `a b c` now", 9), ["say", "`a b c`", "now"]);
        assert!(wrap(" ", 5).is_empty());
    }

    #[test]
    fn colour_is_left_out_where_there_is_none() {
        let look = Look { colour: false, width: 80, now: Timestamp::EPOCH };
        assert_eq!(look.bad("x"), "x");
        assert_eq!(Look { colour: true, ..look }.bad("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
