//! A reader over parsed TOML that goes on after a problem: every value knows its key path and its place.
//!
//! A value that cannot be read is reported and answered as absent. That is safe, since one error is enough for there to
//! be no manifest.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Sources;
use crate::deployment::problem::nearest;
use crate::deployment::{Problem, Secret, Severity};

/// Collects problems while a file is read.
pub(super) struct Report<'s> {
    pub text: &'s str,
    pub sources: &'s dyn Sources,
    problems: RefCell<Vec<Problem>>,
}

impl<'s> Report<'s> {
    pub fn new(text: &'s str, sources: &'s dyn Sources) -> Self {
        Report { text, sources, problems: RefCell::default() }
    }

    pub fn place(&self, offset: usize) -> (usize, usize) {
        place(self.text, offset)
    }

    pub fn error(&self, key: &str, offset: usize, message: impl Into<String>) {
        self.add(Severity::Error, key, offset, message.into());
    }

    fn add(&self, severity: Severity, key: &str, offset: usize, message: String) {
        let line = self.place(offset).0;
        self.problems.borrow_mut().push(Problem { severity, key: key.to_owned(), line, message });
    }

    /// All problems, by line.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        problems
    }
}

/// Line and column of a byte offset, both from 1; the column counts characters.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A value with its key path and place.
#[derive(Clone)]
pub(super) struct Item<'a> {
    report: &'a Report<'a>,
    key: String,
    offset: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    pub fn value(&self) -> &'a DeValue<'a> {
        self.value
    }

    pub fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub fn is_empty_array(&self) -> bool {
        matches!(self.value, DeValue::Array(array) if array.is_empty())
    }

    pub fn sources(&self) -> &'a dyn Sources {
        self.report.sources
    }

    pub fn error(&self, message: impl Into<String>) {
        self.report.error(&self.key, self.offset, message);
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.error(format!("is {}; write {what}", kind(self.value)));
        None
    }

    /// Text without variables: `${env:}` stands only where `secret` reads.
    pub fn text(&self) -> Option<&'a str> {
        let DeValue::String(text) = self.value else { return self.expected("text in quotes") };
        if text.contains("${env:") {
            self.error("`${env:}` may stand in headers of connections, secrets, tokens and bus settings only");
            return None;
        }
        Some(text)
    }

    /// Text that is not empty.
    pub fn filled(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.is_empty() {
            self.error("is empty");
            return None;
        }
        Some(text)
    }

    /// Text that names at least one variable: what is written here is kept by every deployment, and a secret must not be.
    pub fn secret(&self) -> Option<Secret> {
        let secret = self.resolvable()?;
        if secret.variables().is_empty() {
            self.error("stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}");
            return None;
        }
        Some(secret)
    }

    /// Text that may name variables. An unset one is a warning.
    pub fn resolvable(&self) -> Option<Secret> {
        let DeValue::String(text) = self.value else { return self.expected("text in quotes") };
        if let Err(problem) = well_formed(text) {
            self.error(problem);
            return None;
        }
        let secret = Secret::new(text.as_ref());
        for name in secret.variables() {
            if self.report.sources.env(name).is_none_or(|value| value.is_empty()) {
                let message = format!("the environment variable {name} is not set; `up` refuses to start without it");
                self.report.add(Severity::Warning, &self.key, self.offset, message);
            }
        }
        Some(secret)
    }

    pub fn boolean(&self) -> Option<bool> {
        let DeValue::Boolean(value) = self.value else { return self.expected("true or false") };
        Some(*value)
    }

    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.value else { return self.expected(&what) };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.error(format!("{number} is out of range; write {what}"));
                None
            }
        }
    }

    pub fn integer_u32(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(number).ok()
    }

    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let what = format!("a number from {} to {}", range.start(), range.end());
        let text = match self.value {
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Integer(number) => number.to_string(),
            _ => return self.expected(&what),
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.error(format!("{text} is out of range; write {what}"));
                None
            }
        }
    }

    pub fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.checked(|text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// Text that `check` makes into something, or refuses.
    pub fn checked<T>(&self, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.checked_text(self.text()?, check)
    }

    /// The same of a text that stands for this value.
    pub fn checked_text<T>(&self, text: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match check(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.error(problem);
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.error(format!("{text:?} is not known; write {}", words.join(" or ")));
        }
        found
    }

    /// The items of an array that `read` can read; each of the others is a problem.
    pub fn list<T>(&self, read: impl FnMut(Item<'a>) -> Option<T>) -> Option<Vec<T>> {
        let array = match self.value {
            DeValue::Array(array) => array,
            DeValue::Table(_) => return self.expected(&format!("[[{}]], once for each", self.key)),
            _ => return self.expected("an array, like [\"a\", \"b\"]"),
        };
        let item = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Item {
            report: self.report,
            key: format!("{}[{index}]", self.key),
            offset: value.span().start,
            value: value.get_ref(),
        };
        Some(array.iter().enumerate().map(item).filter_map(read).collect())
    }

    /// Reads a table; every key that `read` did not ask for is a problem.
    pub fn table<T>(&self, read: impl FnOnce(&mut Table<'a>) -> T) -> Option<T> {
        let DeValue::Table(entries) = self.value else { return self.expected("a table, like { key = \"value\" }") };
        Some(Table::read(self.report, entries, &self.key, self.offset, read))
    }

    /// A table whose keys are names, each handed to `read`.
    pub fn entries<T>(&self, mut read: impl FnMut(&'a str, Item<'a>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Table(entries) = self.value else { return self.expected("a table, like { key = \"value\" }") };
        let items = entries.iter().filter_map(|(name, value)| {
            let key = format!("{}.{}", self.key, name.get_ref());
            let item = Item { report: self.report, key, offset: name.span().start, value: value.get_ref() };
            read(name.get_ref(), item)
        });
        Some(items.collect())
    }
}

/// A table, and the keys that were asked for.
pub(super) struct Table<'a> {
    report: &'a Report<'a>,
    entries: &'a DeTable<'a>,
    key: String,
    offset: usize,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub fn read<T>(
        report: &'a Report<'a>,
        entries: &'a DeTable<'a>,
        key: &str,
        offset: usize,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> T {
        let mut table = Table { report, entries, key: key.to_owned(), offset, known: Vec::new() };
        let value = read(&mut table);
        table.refuse_unknown();
        value
    }

    /// The value of a key, which is known from now on.
    pub fn take(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.push(name);
        let (_, value) = self.entries.get_key_value(name)?;
        Some(Item { report: self.report, key: self.path(name), offset: value.span().start, value: value.get_ref() })
    }

    pub fn maybe<T>(&mut self, name: &'static str, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        self.take(name).and_then(read)
    }

    pub fn need<T>(&mut self, name: &'static str, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        match self.take(name) {
            Some(item) => read(item),
            None => {
                self.report.error(&self.path(name), self.offset, "is missing");
                None
            }
        }
    }

    /// A problem of the table as a whole.
    pub fn error(&self, message: impl Into<String>) {
        self.report.error(&self.key, self.offset, message);
    }

    fn path(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    fn refuse_unknown(self) {
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.report.error(&self.path(name), key.span().start, format!("unknown key `{name}`; {hint}"));
        }
    }
}

/// Refuses what looks like a variable and is none: it would be taken for the secret itself.
fn well_formed(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty, so anyone could give it".to_owned());
    }
    for part in text.split("${").skip(1) {
        let name = part.strip_prefix("env:").and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        let valid =
            name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        if !valid {
            return Err("`${` begins no variable; write ${env:NAME}".to_owned());
        }
    }
    Ok(())
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
