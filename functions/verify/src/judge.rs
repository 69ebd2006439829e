//! What a look comes to, as a value.

use delivery::policy::verify::{Insufficient, Policy};
use tidegate_sdk::statistics::Statistics;

/// What a release did since it was activated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Events that ended.
    pub samples: u64,
    pub failed: u64,
    pub p99_millis: Option<f64>,
}

impl Seen {
    pub fn of(ended: &Statistics) -> Self {
        Seen { samples: ended.total(), failed: ended.failed(), p99_millis: ended.quantile(0.99) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Verified,
    Failed,
    /// Too little is known, and nobody looks again.
    Insufficient,
    /// Too little is known yet.
    Again,
}

/// The judgement of a look, counted from 1, and its reason. `seen` is an error where nothing could be counted.
pub fn judge(policy: &Policy, look: u32, seen: Result<Seen, String>) -> (Judgement, String) {
    let is_anything = seen.as_ref().is_ok_and(|seen| seen.samples > 0);
    let known = seen.map_or_else(Known::TooLittle, |seen| know(policy, seen));
    match (known, policy.insufficient) {
        (Known::Good(reason), _) => (Judgement::Verified, reason),
        (Known::Bad(reason), _) => (Judgement::Failed, reason),
        (Known::TooLittle(reason), _) if look < policy.looks_max => (Judgement::Again, reason),
        (Known::TooLittle(reason), Insufficient::Pass) if is_anything => {
            (Judgement::Verified, format!("{reason}; the policy lets that pass"))
        }
        (Known::TooLittle(reason), Insufficient::Fail) => {
            (Judgement::Failed, format!("{reason}; the policy takes that as a failure"))
        }
        (Known::TooLittle(reason), Insufficient::Wait | Insufficient::Pass) => (Judgement::Insufficient, reason),
    }
}

enum Known {
    Good(String),
    Bad(String),
    TooLittle(String),
}

fn know(policy: &Policy, seen: Seen) -> Known {
    let Seen { samples, failed, p99_millis } = seen;
    if samples < policy.samples_min {
        return Known::TooLittle(format!("{samples} events ended; at least {} have to", policy.samples_min));
    }
    let rate = failed as f64 / samples as f64;
    let of_all = format!("{failed} of {samples} events failed, which is {}", percent(rate));
    if rate > policy.failure_rate_max {
        return Known::Bad(format!("{of_all}; at most {} may", percent(policy.failure_rate_max)));
    }
    let Some(p99_millis_max) = policy.p99_millis_max else { return Known::Good(of_all) };
    match p99_millis.filter(|p99| !p99.is_nan()) {
        None => Known::TooLittle(format!("{of_all}; how long they ran is not known")),
        Some(p99) if p99 > p99_millis_max as f64 => {
            Known::Bad(format!("the slowest hundredth ran {p99} ms or more; at most {p99_millis_max} ms may be"))
        }
        Some(p99) => Known::Good(format!("{of_all}; 99 of 100 ran at most {p99} ms")),
    }
}

fn percent(rate: f64) -> String {
    let text = format!("{:.2}", rate * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(insufficient: Insufficient, p99_millis_max: Option<u64>) -> Policy {
        Policy {
            delay_millis: 1_000,
            interval_millis: 500,
            looks_max: 3,
            samples_min: 50,
            failure_rate_max: 0.01,
            p99_millis_max,
            insufficient,
        }
    }

    /// `samples failed p99`, where `-` is not known.
    fn seen(text: &str) -> Seen {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |word: &str| word.parse().unwrap();
        let p99_millis = words.get(2).filter(|word| **word != "-").map(|word| word.parse().unwrap());
        Seen { samples: number(words[0]), failed: number(words[1]), p99_millis }
    }

    #[track_caller]
    fn check(policy: &Policy, look: u32, text: &str, judgement: Judgement, reason: &str) {
        assert_eq!(judge(policy, look, Ok(seen(text))), (judgement, reason.to_owned()), "{text} at look {look}");
    }

    #[test]
    fn enough_samples_decide_at_any_look() {
        let policy = policy(Insufficient::Wait, None);
        check(&policy, 1, "50 0", Judgement::Verified, "0 of 50 events failed, which is 0 %");
        check(&policy, 3, "400 4", Judgement::Verified, "4 of 400 events failed, which is 1 %");
        check(&policy, 1, "400 5", Judgement::Failed, "5 of 400 events failed, which is 1.25 %; at most 1 % may");
        check(&policy, 2, "50 50", Judgement::Failed, "50 of 50 events failed, which is 100 %; at most 1 % may");
    }

    #[test]
    fn too_little_is_looked_at_again_and_then_what_the_policy_says() {
        use Insufficient::{Fail, Pass, Wait};
        let little = "49 events ended; at least 50 have to";
        for insufficient in [Wait, Pass, Fail] {
            check(&policy(insufficient, None), 1, "49 49", Judgement::Again, little);
            check(&policy(insufficient, None), 2, "49 0", Judgement::Again, little);
        }
        check(&policy(Wait, None), 3, "49 0", Judgement::Insufficient, little);
        check(&policy(Wait, None), 4, "49 49", Judgement::Insufficient, little);
        check(&policy(Pass, None), 3, "49 0", Judgement::Verified, &format!("{little}; the policy lets that pass"));
        let failed = format!("{little}; the policy takes that as a failure");
        check(&policy(Fail, None), 3, "49 0", Judgement::Failed, &failed);
    }

    #[test]
    fn no_measurement_at_all_is_never_a_success() {
        let none = "0 events ended; at least 50 have to";
        check(&policy(Insufficient::Pass, None), 1, "0 0", Judgement::Again, none);
        check(&policy(Insufficient::Pass, None), 3, "0 0", Judgement::Insufficient, none);
        check(&policy(Insufficient::Wait, None), 3, "0 0", Judgement::Insufficient, none);
        let unknown = || Err("there is no such function".to_owned());
        let told = |judgement| (judgement, "there is no such function".to_owned());
        assert_eq!(judge(&policy(Insufficient::Pass, None), 2, unknown()), told(Judgement::Again));
        assert_eq!(judge(&policy(Insufficient::Pass, None), 3, unknown()), told(Judgement::Insufficient));
    }

    #[test]
    fn a_limit_of_time_needs_to_know_the_time_and_a_failure_wins() {
        let policy = policy(Insufficient::Wait, Some(250));
        let good = "0 of 50 events failed, which is 0 %; 99 of 100 ran at most 249.5 ms";
        check(&policy, 1, "50 0 249.5", Judgement::Verified, good);
        let slow = "the slowest hundredth ran 251 ms or more; at most 250 ms may be";
        check(&policy, 1, "50 0 251", Judgement::Failed, slow);
        let unknown = "0 of 50 events failed, which is 0 %; how long they ran is not known";
        for p99 in ["-", "NaN"] {
            check(&policy, 1, &format!("50 0 {p99}"), Judgement::Again, unknown);
            check(&policy, 3, &format!("50 0 {p99}"), Judgement::Insufficient, unknown);
        }
        let failed = "50 of 50 events failed, which is 100 %; at most 1 % may";
        check(&policy, 1, "50 50 NaN", Judgement::Failed, failed);
    }
}
