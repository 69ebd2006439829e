//! Reports of scanners, brought by a request or found in a bucket: Trivy's JSON and SARIF 2.1.0, in one form.
//!
//! One event for each report file: `com.trivy.report` or `com.sarif.report`. A trigger that takes either (`report`) tells them
//! apart by their members; JSON that is neither is `com.report.unknown`, with the reason.
//!
//! Data: `report` (what it says; a list where a SARIF file has several runs), `subject_from`, `object` (of one from a bucket),
//! `payload` (the report whole). At most 10,000 findings stand in `report`, the worst of all; `findings_total` has the
//! count.
//!
//! A report is about the digest or the commit that it names (`subject_from: "report"`). Where it names neither, its bringer may:
//! by the header `tidegate-subject` (`"header"`), or by the object's key (`"object"`). Else it is bound to nothing.
//!
//! - `id`: a hash of the report and of what its bringer said that it is about. Of an object: the object's state.
//! - `source`: `trivy`, `sarif` or `report`; of an object, its bucket. `time`: the report's.
//! - `subject` and `partitionkey`: the digest or the commit. No `sequence`: reports of several tools are not each other's successors.

mod form;
mod sarif;
mod target;
mod trivy;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use self::form::{Report, keep_worst};
use self::target::Target;
use super::payload::{Payload, json_bytes};
use super::{Rejection, attributes};
use crate::deployment::ReportFormat;
use crate::event::{Event, derive_uuid};

/// The event of a request's body: always one.
pub fn parse(format: ReportFormat, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Rejection> {
    let said = Target::of_headers(headers)?;
    let payload = Payload::read(body)?;
    let event = match Sender::of(format, &payload.value) {
        Some(sender) => {
            let said_text = said.as_ref().map(Target::text).unwrap_or_default();
            let id = derive_uuid(&[sender.name().as_bytes(), said_text.as_bytes(), body]);
            let place = Place { id: id.to_string(), source: sender.name().to_owned(), object: None };
            event(sender, said.map(|target| (target, SubjectFrom::Header)), place, &payload)
        }
        None => unknown(body, &payload),
    };
    Ok(vec![event])
}

/// The event of a report in a bucket, or why there is none: then the object is no report. `object` is what is known of it, `key`
/// its key.
pub fn of_object(format: ReportFormat, place: Place<'_>, key: &str, content: &[u8]) -> Result<Event, String> {
    let payload = Payload::read(content).map_err(|rejection| rejection.to_string())?;
    let sender = Sender::of(format, &payload.value).ok_or(NEITHER)?;
    Ok(event(sender, Target::of_key(key).map(|target| (target, SubjectFrom::Object)), place, &payload))
}

const NEITHER: &str = "it is neither a report of Trivy nor SARIF";

/// Where a report came from.
pub struct Place<'a> {
    pub id: String,
    pub source: String,
    pub object: Option<&'a Value>,
}

/// Who wrote a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Trivy,
    Sarif,
}

impl Sender {
    /// Whose format it is: that which the trigger says, else what the document looks like.
    fn of(format: ReportFormat, document: &Value) -> Option<Self> {
        match format {
            ReportFormat::Trivy => Some(Sender::Trivy),
            ReportFormat::Sarif => Some(Sender::Sarif),
            ReportFormat::Any if sarif::recognises(document) => Some(Sender::Sarif),
            ReportFormat::Any if trivy::recognises(document) => Some(Sender::Trivy),
            ReportFormat::Any => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Sender::Trivy => "trivy",
            Sender::Sarif => "sarif",
        }
    }

    fn read(self, document: &Value) -> Vec<Report> {
        match self {
            Sender::Trivy => vec![trivy::read(document)],
            Sender::Sarif => sarif::read(document),
        }
    }
}

/// Who said what a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum SubjectFrom {
    Report,
    Header,
    Object,
}

#[derive(Serialize)]
struct Data<'a> {
    report: Reports<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_from: Option<SubjectFrom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a Value>,
    payload: &'a RawValue,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Reports<'a> {
    One(&'a Report),
    Several(&'a [Report]),
}

fn event(sender: Sender, said: Option<(Target, SubjectFrom)>, place: Place<'_>, payload: &Payload) -> Event {
    let mut reports = sender.read(&payload.value);
    let subject_from = bind(&mut reports, said);
    keep_worst(&mut reports);
    let target = only(reports.iter().filter_map(Report::target));
    let report = match reports.as_slice() {
        [report] => Reports::One(report),
        several => Reports::Several(several),
    };
    Event {
        id: place.id,
        source: place.source,
        ty: format!("com.{}.report", sender.name()),
        subject: target.clone(),
        time: reports.iter().find_map(|report| report.time.clone()),
        extensions: attributes::ordering(target, None),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(json_bytes(&Data { report, subject_from, object: place.object, payload: &payload.text })),
        ..Event::default()
    }
}

/// What reports say for themselves counts; only where none of a file does is its bringer's word taken, for all of them.
fn bind(reports: &mut [Report], said: Option<(Target, SubjectFrom)>) -> Option<SubjectFrom> {
    if reports.iter().any(|report| report.target().is_some()) {
        return Some(SubjectFrom::Report);
    }
    let (target, from) = said?;
    for report in reports {
        match &target {
            Target::Digest(digest) => report.subject.digest = Some(digest.clone()),
            Target::Commit(commit) => report.subject.commit = Some(commit.clone()),
        }
    }
    Some(from)
}

fn unknown(body: &Bytes, payload: &Payload) -> Event {
    #[derive(Serialize)]
    struct Unknown<'a> {
        problem: &'a str,
        payload: &'a RawValue,
    }
    Event {
        id: derive_uuid(&[b"report", body]).to_string(),
        source: "report".to_owned(),
        ty: "com.report.unknown".to_owned(),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(json_bytes(&Unknown { problem: NEITHER, payload: &payload.text })),
        ..Event::default()
    }
}

/// The text that all are.
fn only<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = texts.next()?;
    texts.all(|text| text == first).then(|| first.to_owned())
}

/// A member that is a text and not empty.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The items of a member that is a list; none where it is missing or something else.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests;
