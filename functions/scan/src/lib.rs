//! Makes `scan.completed` of scanners' reports, which triggers have brought into one form (`data.report`): binds each to the
//! digest or commit that it names, judges whether the scan succeeded and is fresh, and joins what belongs together.
//!
//! | hears | does |
//! | --- | --- |
//! | `com.trivy.report`, `com.sarif.report`, any event with `data.report` | `scan.completed` for each subject and tool |
//! | `artifact.identified` with `parts`, from a function | remembers the images of an index, and joins their reports |
//!
//! - **A report counts for what it names**: a digest (`sha256:` and 64 hex digits), else a commit; an image's for a digest only. One
//!   that names neither becomes a dead letter that says how to make it name one, and so does one that nobody proved.
//! - **A scan that failed is not clean**, whatever it lists; nor is one that is too old for config `max_age`, one whose
//!   knowledge is too old for config `database_max_age` (of images and dependencies), one that does not tell its age where
//!   an age is asked for, and one of the future. All of them have `result: failed` and the problem.
//! - **Findings that are suppressed do not count.** The event lists the worst that count, at most 500 and 192 KiB, and counts all.
//! - **Runs of one file** by the same tool on the same subject are one scan: it failed if one of them did, and is as old as the
//!   oldest. Runs that name a part stay apart; who reads them adds them up.
//! - **Images of an index**: when a tool has reported on every one, the index itself has a scan, of part `platforms`.
//!
//! Config `max_age` and `database_max_age` are lengths of time like `"7d"`; without them a scan may be as old as it likes. Key space
//! `scans` is its own: the images of indexes, and the reports of digests, which any order of arrival joins.
//!
//! The subject of what it emits is the digest or the commit, and so is the partition key.

mod parts;
mod report;

use delivery::{Identified, Report, ScanCompleted, is, is_from, say, types};
use serde::Deserialize;
use tidegate_sdk::{Event, Failure, info};

use crate::parts::Parts;
use crate::report::{Ages, complete, joined};

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    if is(&event, types::ARTIFACT_IDENTIFIED) {
        return identified(&event);
    }
    let Data { report, subject_from } = event.data()?;
    if !event.origin.as_ref().is_some_and(|origin| origin.verified) {
        let reason = "nobody proved who sent the report; give its webhook a secret or a token and send it again";
        return Err(Failure::reject(reason));
    }
    let from = subject_from.unwrap_or_else(|| "the report".to_owned());
    let (ages, now) = (Ages::read()?, delivery::now());
    let parts = Parts::open()?;
    let mut said = Vec::new();
    for report in joined(report.into_list()) {
        let completed = complete(report, &event, &ages, now, &from)?;
        let of_indexes = parts.add(&completed)?;
        for completed in [completed].into_iter().chain(of_indexes) {
            said.push(tell(&completed)?);
        }
    }
    Ok(said)
}

tidegate_sdk::export!(handle);

#[derive(Deserialize)]
struct Data {
    report: Reports,
    /// Where the subject was found, if not in the report itself.
    #[serde(default)]
    subject_from: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reports {
    One(Box<Report>),
    Several(Vec<Report>),
}

impl Reports {
    fn into_list(self) -> Vec<Report> {
        match self {
            Reports::One(report) => vec![*report],
            Reports::Several(reports) => reports,
        }
    }
}

fn identified(event: &Event) -> Result<Vec<Event>, Failure> {
    if !is_from(event, "function") {
        info!("event {} names an index and comes from no function that was proved", event.id);
        return Ok(Vec::new());
    }
    let identified: Identified = delivery::content(event)?;
    let scans = Parts::open()?.index(&identified.digest, &identified.parts)?;
    scans.iter().map(tell).collect()
}

fn tell(completed: &ScanCompleted) -> Result<Event, Failure> {
    let subject = completed.digest.as_ref().or(completed.commit.as_ref()).expect("a scan is bound to what it names");
    say(types::SCAN_COMPLETED, subject, subject, completed)
}

#[cfg(test)]
mod tests;
