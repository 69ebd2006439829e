//! What the end of a process means for its task: a pure decision.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery::{Outcome, TaskResult};

use super::results::ResultsError;
use super::supervised::Ran;
use super::supervisor::Ending;

/// How long a task may take, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub time: Duration,
    pub by: String,
}

/// A task that was not run, or of which nobody knows how it ended.
pub fn error(reason: String) -> TaskResult {
    TaskResult {
        outcome: Outcome::Error,
        reason: Some(reason),
        exit_code: None,
        output: None,
        results: BTreeMap::new(),
        duration_millis: 0,
    }
}

/// A task that was run to its end. Results count where it succeeded.
pub fn of(
    ran: &Ran,
    results: Result<BTreeMap<String, String>, ResultsError>,
    output: String,
    limit: &Limit,
) -> TaskResult {
    let failure = |reason: String| (Outcome::Failure, Some(reason), BTreeMap::new());
    let (outcome, reason, results) = match (&ran.ending, ran.overdue) {
        (Ending::NotStarted(error), _) => (Outcome::Error, Some(format!("it did not start: {error}")), BTreeMap::new()),
        (Ending::Exit(_) | Ending::Signal(_), true) => {
            failure(format!("it did not end within {} s ({})", limit.time.as_secs(), limit.by))
        }
        (Ending::Exit(0), false) => match results {
            Ok(results) => (Outcome::Success, None, results),
            Err(error) => (Outcome::Error, Some(error.to_string()), BTreeMap::new()),
        },
        (Ending::Exit(code), false) => failure(format!("exit status {code}")),
        (Ending::Signal(signal), false) => failure(format!("ended by signal {signal}")),
    };
    let exit_code = match ran.ending {
        Ending::Exit(code) => Some(code),
        Ending::Signal(_) | Ending::NotStarted(_) => None,
    };
    let duration_millis = u64::try_from(ran.duration.as_millis()).unwrap_or(u64::MAX);
    TaskResult { outcome, reason, exit_code, output: Some(output), results, duration_millis }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        ending: Ending,
        overdue: bool,
        results: Result<&str, ResultsError>,
        outcome: Outcome,
        reason: Option<&str>,
    ) {
        let results = results.map(|value| BTreeMap::from([("digest".to_owned(), value.to_owned())]));
        let limit = Limit { time: Duration::from_secs(60), by: "time of the task".to_owned() };
        let ran = Ran { ending: ending.clone(), overdue, duration: Duration::from_millis(1_500) };
        let result = of(&ran, results, "sha256:ab".to_owned(), &limit);
        assert_eq!((result.outcome, result.reason.as_deref()), (outcome, reason), "{ending:?} {overdue}");
        assert_eq!(result.results.is_empty(), outcome != Outcome::Success, "{ending:?} {overdue}");
        assert_eq!((result.output.as_deref(), result.duration_millis), (Some("sha256:ab"), 1_500));
        let code = if let Ending::Exit(code) = ending { Some(code) } else { None };
        assert_eq!(result.exit_code, code);
    }

    #[test]
    fn only_status_0_in_time_with_sound_results_is_success() {
        use Outcome::{Error, Failure, Success};
        let late = Some("it did not end within 60 s (time of the task)");
        check(Ending::Exit(0), false, Ok("d"), Success, None);
        check(Ending::Exit(0), false, Err(ResultsError::Many), Error, Some("it has more than 64 results"));
        check(Ending::Exit(0), true, Ok("d"), Failure, late);
        check(Ending::Exit(101), false, Ok("d"), Failure, Some("exit status 101"));
        check(Ending::Exit(101), false, Err(ResultsError::Many), Failure, Some("exit status 101"));
        check(Ending::Signal(9), true, Ok("d"), Failure, late);
        check(Ending::Signal(11), false, Ok("d"), Failure, Some("ended by signal 11"));
        let missing = "No such file or directory".to_owned();
        check(Ending::NotStarted(missing), false, Ok("d"), Error, Some("it did not start: No such file or directory"));
    }
}
