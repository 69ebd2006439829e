//! One report: what it is about, and what it is worth.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use delivery::{
    Counts, Finding, Instant, Kind, Report, ScanCompleted, ScanResult, Severity, Subject, Tool, instant, is_commit,
    is_digest, period, rfc3339,
};
use tidegate_sdk::{Event, Failure, config};

/// Findings that an event lists, and their size as JSON, so that they fit a value of a key.
pub const FINDINGS_MAX: usize = 500;
const FINDINGS_BYTES_MAX: usize = 192 * 1024;
/// Characters of each text of a finding.
const TEXT_MAX: usize = 200;
/// How far clocks may be apart.
const AHEAD_MINUTES_MAX: i64 = 60;

/// How old a scan, and what it knows, may be.
pub struct Ages {
    scan: Option<TimeDelta>,
    database: Option<TimeDelta>,
}

impl Ages {
    pub fn read() -> Result<Self, Failure> {
        let read = |key: &str| -> Result<Option<TimeDelta>, Failure> {
            let Some(text) = config::text(key)? else { return Ok(None) };
            let seconds =
                period(&text).and_then(|seconds| i64::try_from(seconds).ok()).and_then(TimeDelta::try_seconds);
            let problem = || Failure::reject(format!("config {key} is {text:?}; write a length of time like \"7d\""));
            seconds.map(Some).ok_or_else(problem)
        };
        Ok(Ages { scan: read("max_age")?, database: read("database_max_age")? })
    }
}

/// Runs of the same tool on the same thing as one report; the first stays where it was.
pub fn joined(reports: Vec<Report>) -> Vec<Report> {
    let mut joined: Vec<Report> = Vec::new();
    let same = |one: &Report, other: &Report| {
        (&one.subject, one.kind, &one.tool.name, &one.part)
            == (&other.subject, other.kind, &other.tool.name, &other.part)
    };
    for report in reports {
        match joined.iter_mut().find(|before| same(before, &report)) {
            Some(before) => before.succeeded = join(before, report),
            None => joined.push(report),
        }
    }
    joined
}

/// Adds a run to another; whether both succeeded. What is not told of one is not known of both.
fn join(before: &mut Report, run: Report) -> bool {
    let older = |one: Option<String>, other: Option<String>| {
        one.zip(other).map(|(one, other)| if instant(&one) <= instant(&other) { one } else { other })
    };
    let total = |report: &Report| report.findings_total.unwrap_or(report.findings.len() as u64);
    before.findings_total = Some(total(before) + total(&run));
    before.time = older(before.time.take(), run.time);
    before.tool.database = older(before.tool.database.take(), run.tool.database);
    before.problem = before.problem.take().or(run.problem);
    before.findings.extend(run.findings);
    before.succeeded && run.succeeded
}

/// What a report says, if it says it of something.
pub fn complete(
    report: Report,
    event: &Event,
    ages: &Ages,
    now: Instant,
    from: &str,
) -> Result<ScanCompleted, Failure> {
    let Report { kind, tool, subject, part, succeeded, problem, time, findings, findings_total } = report;
    let (digest, commit) = bind(kind, &tool, subject, from)?;
    let problem = match succeeded {
        false => Some(problem.unwrap_or_else(|| "the scan did not run to its end".to_owned())),
        true => stale(kind, &tool, time.as_deref(), ages, now),
    };
    let unlisted = findings_total.unwrap_or_default().saturating_sub(findings.len() as u64);
    let counting: Vec<Finding> = findings.into_iter().filter(|finding| finding.suppressed.is_none()).collect();
    // Those that a report has no place for are none of the worst: at most as bad as the least that it lists.
    let least = counting.iter().map(|finding| finding.severity).min().unwrap_or(Severity::Unknown);
    let (counts, findings) = listed(counting);
    let counts = counts.and(&Counts::some(least, unlisted));
    let result = match (&problem, counts == Counts::default()) {
        (Some(_), _) => ScanResult::Failed,
        (None, true) => ScanResult::Clean,
        (None, false) => ScanResult::Findings,
    };
    Ok(ScanCompleted {
        digest,
        commit,
        kind,
        tool,
        part,
        scanned_at: time.filter(|time| instant(time).is_some()).or_else(|| event.time.clone()),
        result,
        problem,
        counts,
        findings,
        report: event.id.clone(),
    })
}

/// The digest or the commit that a report is about.
fn bind(kind: Kind, tool: &Tool, subject: Subject, from: &str) -> Result<(Option<String>, Option<String>), Failure> {
    let Subject { digest, commit, name } = subject;
    let name = name.map(|name| format!(" of {name:?}")).unwrap_or_default();
    let unbound = |problem: String| {
        let how = match kind {
            Kind::Image => {
                "scan the image by digest (NAME@sha256:DIGITS), or put the report at a key that has the digest"
            }
            Kind::Dependency | Kind::Static => "let the report name the commit, or put it at a key that has it",
        };
        Failure::reject(format!("the report by {}{name} {problem}; {how}", tool.name))
    };
    match (digest, commit) {
        (Some(digest), _) if !is_digest(&digest) => {
            Err(unbound(format!("names {digest:?} by {from}, which is no digest")))
        }
        (Some(digest), commit) => Ok((Some(digest), commit.filter(|commit| is_commit(commit)))),
        (None, Some(commit)) if kind == Kind::Image => {
            Err(unbound(format!("is of an image and names commit {commit:?} alone")))
        }
        (None, Some(commit)) if !is_commit(&commit) => {
            Err(unbound(format!("names {commit:?} by {from}, which is no commit")))
        }
        (None, Some(commit)) => Ok((None, Some(commit))),
        (None, None) => Err(unbound("names neither digest nor commit, so it is about nothing".to_owned())),
    }
}

/// What makes a scan that ran too old to count.
fn stale(kind: Kind, tool: &Tool, time: Option<&str>, ages: &Ages, now: Instant) -> Option<String> {
    let of_scan = too_old("the scan", time, ages.scan, now);
    let of_database = match kind {
        Kind::Image | Kind::Dependency => too_old("the database", tool.database.as_deref(), ages.database, now),
        // What looks at source knows its rules, which have no date.
        Kind::Static => None,
    };
    of_scan.or(of_database)
}

fn too_old(what: &str, told: Option<&str>, max: Option<TimeDelta>, now: Instant) -> Option<String> {
    let time = told.and_then(instant);
    if time.is_some_and(|time| time > now + TimeDelta::minutes(AHEAD_MINUTES_MAX)) {
        return Some(format!("{what} is of {}, which is yet to come", told.unwrap_or_default()));
    }
    let max = max?;
    match time {
        None => Some(format!("{what} tells no date, and must be younger than {} h", max.num_hours())),
        Some(time) if now - time > max => {
            Some(format!("{what} is of {}, older than {} h", rfc3339(time), max.num_hours()))
        }
        Some(_) => None,
    }
}

/// Counts all, and lists the worst that fit.
pub fn listed(mut findings: Vec<Finding>) -> (Counts, Vec<Finding>) {
    let counts = Counts::of(&findings);
    findings
        .sort_by(|one, other| (other.severity, &one.id, &one.package).cmp(&(one.severity, &other.id, &other.package)));
    let mut bytes = 0;
    let fits = |finding: &Finding| {
        bytes += serde_json::to_vec(finding).map_or(0, |json| json.len());
        bytes <= FINDINGS_BYTES_MAX
    };
    let listed = findings.into_iter().map(short).take(FINDINGS_MAX).take_while(fits).collect();
    (counts, listed)
}

fn short(finding: Finding) -> Finding {
    let short = |text: String| text.chars().take(TEXT_MAX).collect::<String>();
    Finding {
        id: short(finding.id),
        package: finding.package.map(short),
        installed: finding.installed.map(short),
        fixed: finding.fixed.map(short),
        title: finding.title.map(short),
        place: finding.place.map(short),
        ..finding
    }
}

/// What all images of an index are worth together.
pub fn of_index(index: &str, part: &str, scans: BTreeMap<String, ScanCompleted>) -> Option<ScanCompleted> {
    let newest = scans.values().max_by(|one, other| one.report.cmp(&other.report))?.clone();
    let oldest = |of: fn(&ScanCompleted) -> Option<&String>| {
        let times: Option<Vec<&String>> = scans.values().map(of).collect();
        times?.into_iter().min_by_key(|time| instant(time)).cloned()
    };
    let problem =
        scans.iter().find_map(|(digest, scan)| scan.problem.as_ref().map(|problem| format!("{digest}: {problem}")));
    let failed = scans.values().any(|scan| scan.result == ScanResult::Failed);
    let mut counts = Counts::default();
    for scan in scans.values() {
        counts = counts.and(&scan.counts);
    }
    let all: Vec<Finding> = scans.values().flat_map(|scan| scan.findings.clone()).collect();
    let (_, findings) = listed(all);
    let result = match (failed, findings.is_empty()) {
        (true, _) => ScanResult::Failed,
        (false, true) => ScanResult::Clean,
        (false, false) => ScanResult::Findings,
    };
    Some(ScanCompleted {
        digest: Some(index.to_owned()),
        commit: None,
        part: Some(part.to_owned()),
        scanned_at: oldest(|scan| scan.scanned_at.as_ref()),
        tool: Tool { database: oldest(|scan| scan.tool.database.as_ref()), ..newest.tool.clone() },
        result,
        problem,
        counts,
        findings,
        ..newest
    })
}
