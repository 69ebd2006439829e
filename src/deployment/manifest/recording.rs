//! `[recording]`: what is kept of attempts, and what is taken out of it before it is written.

use std::collections::BTreeSet;

use super::read::{Item, Table};
use super::settings::{bytes, unique};
use crate::deployment::{RECORDING_BYTES_MAX, RecordingSettings, RedactedPath, Redaction};

/// Less leaves no room for what every recording has.
const BYTES_MIN: u64 = 64 * 1024;
/// Paths and headers of one project: each is looked for in every event.
const RULES_MAX: usize = 100;

pub(super) fn recording(table: &mut Table<'_>) -> RecordingSettings {
    let default = RecordingSettings::default();
    let read = |table: &mut Table<'_>| {
        let sample = table.maybe("sample", |item| item.number(0.0..=1.0));
        let bytes_max =
            table.maybe("bytes_max", |item| bytes(&item, BYTES_MIN, RECORDING_BYTES_MAX as u64, "64KiB to 4MiB"));
        let redact = table.maybe("redact", |item| item.table(redaction));
        RecordingSettings {
            sample: sample.unwrap_or(default.sample),
            bytes_max: bytes_max.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(default.bytes_max),
            redact: redact.unwrap_or_default(),
        }
    };
    table.maybe("recording", |item| item.table(read)).unwrap_or_default()
}

fn redaction(table: &mut Table<'_>) -> Redaction {
    let mut seen = BTreeSet::new();
    let path = |item: Item<'_>| {
        let path: RedactedPath = item.parsed()?;
        unique(&mut seen, &item, path.to_string()).map(|_| path)
    };
    let paths = table.maybe("paths", |item| few(&item, path)).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let header = |item: Item<'_>| item.checked(header).and_then(|name| unique(&mut seen, &item, name));
    let headers = table.maybe("headers", |item| few(&item, header)).unwrap_or_default();
    Redaction { paths, headers: headers.into_iter().collect() }
}

fn few<'a, T>(item: &Item<'a>, read: impl FnMut(Item<'a>) -> Option<T>) -> Option<Vec<T>> {
    let list = item.list(read)?;
    if list.len() > RULES_MAX {
        item.error(format!("has {} entries; at most {RULES_MAX}", list.len()));
    }
    Some(list)
}

fn header(text: &str) -> Result<String, String> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(format!("{text:?} is no header name")),
    }
}
