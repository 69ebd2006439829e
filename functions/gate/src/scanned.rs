//! What one scan is worth.

use delivery::policy::gate::Need;
use delivery::{Blocked, Instant, Kind, ScanResult, Severity, instant, rfc3339};

use crate::finding::{Ruling, rule};
use crate::judge::{Case, block};
use crate::kept::{Found, Scan};

pub enum Worth {
    Counts {
        /// When time alone may make a finding of it that blocks.
        until: Option<Instant>,
    },
    /// It says nothing: it failed, or is too old.
    Nothing(Blocked),
    /// It found what blocks.
    Found(Blocked),
}

impl Case<'_> {
    pub fn worth(&self, kind: Kind, scan: &Scan) -> Worth {
        if let Some(blocked) = self.nothing(kind, scan) {
            return Worth::Nothing(Blocked { evidence_id: Some(scan.witness.event.clone()), ..blocked });
        }
        let (mut until, mut blocking): (Option<Instant>, Vec<(Ruling, &Found)>) = (None, Vec::new());
        for found in &scan.findings {
            // Where nobody noted it, it was seen by this scan.
            let seen = || self.seen.get(&found.name()).copied().or_else(|| instant(&scan.witness.at));
            match rule(self.policy, kind, found, self.now, seen) {
                Ruling::Passes { until: end } => until = until.into_iter().chain(end).min(),
                ruling @ (Ruling::Blocks | Ruling::Expired { .. }) => blocking.push((ruling, found)),
            }
        }
        let more = blocking.len().saturating_sub(1);
        // The worst, and of those that are as bad the first by name.
        let worst = blocking
            .into_iter()
            .min_by(|(_, one), (_, other)| (other.severity, &one.id).cmp(&(one.severity, &other.id)));
        let blocked = match worst {
            Some((ruling, found)) => Some(told(kind, scan, &ruling, found, more)),
            None => self.unlisted(kind, scan),
        };
        match blocked {
            Some(blocked) => Worth::Found(Blocked { evidence_id: Some(scan.witness.event.clone()), ..blocked }),
            None => Worth::Counts { until },
        }
    }

    /// Why a scan says nothing, if it does not.
    fn nothing(&self, kind: Kind, scan: &Scan) -> Option<Blocked> {
        let (need, tool) = (Need::Scan(kind), scan.name());
        let clear = format!("run the {need} scan by {tool} again and send its report");
        if let Some(stale) = self.stale(&scan.witness) {
            return Some(Blocked { clear, ..stale });
        }
        let problem = match scan.result {
            ScanResult::Failed => scan.problem.as_deref().unwrap_or("it did not run to its end"),
            ScanResult::Clean | ScanResult::Findings => return None,
        };
        let reason = format!("the {need} scan by {tool} does not count: {problem}");
        Some(Blocked { reason, input: Some(tool), clear, ..block("scan-failed") })
    }

    /// What blocks where a severity that does has findings for which the event had no place: nobody can judge them.
    fn unlisted(&self, kind: Kind, scan: &Scan) -> Option<Blocked> {
        let counts = &scan.counts;
        let all = [
            (Severity::Critical, counts.critical),
            (Severity::High, counts.high),
            (Severity::Medium, counts.medium),
            (Severity::Unknown, counts.unknown),
            (Severity::Low, counts.low),
            (Severity::Negligible, counts.negligible),
        ];
        let listed = |severity| scan.findings.iter().filter(|found| found.severity == severity).count() as u64;
        let (severity, count) = all
            .into_iter()
            .find(|&(severity, count)| count > listed(severity) && self.policy.severity.blocks(kind, severity))?;
        let (need, tool, severity) = (Need::Scan(kind), scan.name(), word(severity));
        let reason = format!("the {need} scan by {tool} found {count} of severity {severity}, more than it lists");
        let clear = "mend findings until all that are left are listed".to_owned();
        Some(Blocked { reason, clear, ..block(&rule_of(kind)) })
    }
}

fn told(kind: Kind, scan: &Scan, ruling: &Ruling, found: &Found, more: usize) -> Blocked {
    let place: Vec<&str> = found.thing.iter().chain(&found.detail).map(String::as_str).collect();
    let place = if place.is_empty() { String::new() } else { format!(" in {}", place.join(" ")) };
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let (need, tool, severity) = (Need::Scan(kind), scan.name(), word(found.severity));
    let reason = format!("the {need} scan by {tool} found {} ({severity}){place}{more}", found.id);
    let mend = match &found.fixed {
        Some(fixed) => format!("update to {fixed}, build again"),
        None => "mend it, build again".to_owned(),
    };
    let input = Some(found.id.clone());
    match ruling {
        Ruling::Expired { owner, expires } => Blocked {
            reason: format!("{reason}; the exception of {owner} for it ended at {}", rfc3339(*expires)),
            input,
            clear: format!("{mend}; or let {owner} renew the exception in the policy"),
            ..block("exception-expired")
        },
        Ruling::Passes { .. } | Ruling::Blocks => {
            let clear = format!("{mend}; or write an exception with an owner, a reason and an end into the policy");
            Blocked { reason, input, clear, ..block(&rule_of(kind)) }
        }
    }
}

fn rule_of(kind: Kind) -> String {
    format!("{}-scan", Need::Scan(kind))
}

fn word(severity: Severity) -> String {
    format!("{severity:?}").to_lowercase()
}
