//! The path from commit to production, for people.

use super::text::{shorten, wrap};
use super::time::{ago, when};
use super::{Align, Colour, Look, Table, clean, facts, painted, place, plain};
use crate::api::model::{
    DriftView, EventRef, ReleaseView, Standing, StandingView, WhyCause, WhyState, WhyStep, WhyView,
};
use crate::clock::Timestamp;
use crate::deployment::event_type;

/// One screen, and no more of it than can be read: what does not fit is in the JSON.
const LINES_MAX: usize = 24;
const COLUMNS_MAX: usize = 120;
/// Lines of one value of a cause.
const VALUE_LINES_MAX: usize = 4;
/// Steps that are shown however much else is said, and of how many the first ones are.
const STEPS_MIN: usize = 3;
const STEPS_FIRST: usize = 2;

/// Where something stands, what is in its way, and what led there: one screen.
pub fn why(view: &WhyView, look: &Look) -> String {
    let look = &Look { width: look.width.min(COLUMNS_MAX), ..*look };
    let (colour, words) = match view.state {
        WhyState::Released => (Colour::Good, "released"),
        WhyState::Replaced => (Colour::Faint, "replaced"),
        WhyState::Held => (Colour::Bad, "held"),
        WhyState::Failed => (Colour::Bad, "failed"),
        WhyState::Waiting => (Colour::Waiting, "waiting"),
    };
    let heading = look.strong(&format!("{} in {}", clean(&view.of), clean(&view.environment)));
    let mut text = format!("{heading}  {}\n", look.paint(colour, words));
    let mut known =
        vec![("commit", view.commit.clone()), ("digest", view.digest.clone()), ("release", view.release.clone())];
    known.extend(view.verified.map(|at| ("verified", Some(when(at, look)))));
    text += &facts(look, &known);
    if let Some(cause) = &view.cause {
        text.push('\n');
        text += &reasons(cause, look);
    }
    if !view.chain.is_empty() {
        text += "\nhow it came here\n";
        // One line is the table's heading.
        text += &steps(&view.chain, LINES_MAX.saturating_sub(text.lines().count() + 1).max(STEPS_MIN), look);
    }
    text
}

/// What is in the way; of what waits for another environment, what is in the way there.
fn reasons(cause: &WhyCause, look: &Look) -> String {
    match &cause.because {
        Some(because) => headline(cause, look) + &reasons(because, look),
        None => headline(cause, look) + &details(cause, look),
    }
}

fn headline(cause: &WhyCause, look: &Look) -> String {
    let rule = clean(&cause.rule).into_owned();
    let reason = lines(&cause.reason, look.width.saturating_sub(rule.chars().count() + 2));
    format!("{}  {}\n", look.bad(&rule), reason.join(&format!("\n{:1$}", "", rule.chars().count() + 2)))
}

fn details(cause: &WhyCause, look: &Look) -> String {
    let function = cause.function.as_ref().map_or_else(String::new, |function| format!(", function {function}"));
    let also = cause.rule != "missing-evidence";
    let missing = (!cause.missing.is_empty()).then(|| cause.missing.join(", "));
    let again = cause.again.as_ref().map(|again| match again.parse::<Timestamp>() {
        Ok(at) => when(at, look),
        Err(_) => again.clone(),
    });
    let said = [
        (if also { "missing too" } else { "missing" }, missing),
        ("where", cause.environment.clone()),
        ("input", cause.input.clone()),
        ("evidence", cause.evidence.as_ref().map(event)),
        ("since", Some(when(cause.since, look))),
        ("event", Some(format!("{}{function}", event(&cause.event)))),
        ("again", again),
        ("to clear", Some(cause.clear.clone())),
    ];
    let mut text = String::new();
    let present = || said.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    let width = present().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in present() {
        let indent = width + 4;
        let value = lines(value, look.width.saturating_sub(indent)).join(&format!("\n{:indent$}", ""));
        text += &format!("  {}  {value}\n", look.faint(&format!("{name:width$}")));
    }
    text
}

/// As many lines of a value as there is room for; senders' own line ends are spaces.
fn lines(text: &str, width: usize) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut lines = wrap(&clean(&words.join(" ")), width);
    if lines.len() > VALUE_LINES_MAX {
        lines.truncate(VALUE_LINES_MAX);
        if let Some(last) = lines.last_mut() {
            *last = shorten(&format!("{last} …"), width).into_owned();
        }
    }
    lines
}

/// `#3 gate.blocked`.
fn event(event: &EventRef) -> String {
    let word = event_type(&event.ty).map_or(event.ty.as_str(), |entry| entry.name);
    format!("{} {word}", place(event.position))
}

/// The first steps and the last, which are the most telling, in so many lines.
fn steps(chain: &[WhyStep], lines_max: usize, look: &Look) -> String {
    let left = Align::Left;
    let mut table = Table::new([("WHEN", left), ("EVENT", Align::Right), ("SAID", left), ("BY", left)]);
    // The line that says how many are left out is one of them.
    let (first, last) = match chain.len() <= lines_max {
        true => (chain.len(), 0),
        false => (STEPS_FIRST.min(lines_max - 2), lines_max - 1 - STEPS_FIRST.min(lines_max - 2)),
    };
    let left_out = chain.len() - first - last;
    chain[..first].iter().for_each(|step| table.row(row(step, look)));
    if left_out > 0 {
        table.row([plain("..."), plain(""), plain(format!("{left_out} more")), plain("")]);
    }
    chain[first + left_out..].iter().for_each(|step| table.row(row(step, look)));
    table.render(look)
}

fn row(step: &WhyStep, look: &Look) -> [super::table::Cell; 4] {
    let detail = step.detail.as_ref().map_or_else(String::new, |detail| format!("  {detail}"));
    let said = match step.counts {
        true => plain(format!("{}{detail}", step.word)),
        false => painted(Colour::Faint, format!("{}{detail}  (has no effect)", step.word)),
    };
    [plain(ago(step.at, look.now)), plain(place(step.event.position)), said, plain(&step.by)]
}

/// Of the table of releases: a release is asked for by its name, which stays whole. `why` takes the first digits as well.
const DIGEST_COLUMN: usize = 3;

/// One line for each release, or that there is none.
pub fn releases(releases: &[ReleaseView], look: &Look) -> String {
    if releases.is_empty() {
        return "no releases: no gate has judged an artifact yet\n".to_owned();
    }
    let left = Align::Left;
    let mut table = Table::new([
        ("RELEASE", left),
        ("SINCE", left),
        ("COMMIT", left),
        ("DIGEST", left),
        ("ENVIRONMENT", left),
        ("STANDING", left),
        ("RULE", left),
    ])
    .spare(DIGEST_COLUMN);
    for release in releases {
        let commit: String = release.commit.as_deref().unwrap_or("-").chars().take(12).collect();
        let digest: String = release.digest.trim_start_matches("sha256:").chars().take(12).collect();
        for (environment, standing) in &release.environments {
            table.row([
                plain(&release.release),
                plain(ago(standing.since, look.now)),
                plain(&commit),
                plain(&digest),
                plain(environment),
                standing_cell(standing, release.quarantined),
                plain(standing.rule.as_deref().unwrap_or("-")),
            ]);
        }
    }
    table.render(look)
}

fn standing_cell(view: &StandingView, quarantined: bool) -> super::table::Cell {
    let (colour, words) = match view.standing {
        Standing::Blocked => (Colour::Bad, "blocked"),
        Standing::Passed => (Colour::Waiting, "passed"),
        Standing::Refused => (Colour::Bad, "refused"),
        Standing::Deploying => (Colour::Waiting, "deploying"),
        Standing::Running => (Colour::Waiting, "running"),
        Standing::Verified => (Colour::Good, "verified"),
        Standing::Unproven => (Colour::Waiting, "unproven"),
        Standing::Failed => (Colour::Bad, "failed"),
        Standing::Drifted => (Colour::Bad, "drifted"),
        Standing::Replaced => (Colour::Faint, "replaced"),
    };
    painted(colour, if quarantined { format!("{words}, in quarantine") } else { words.to_owned() })
}

/// One line for each decision: whether it is good news, and verdict, environment, what, rule and reason.
pub fn decisions<'a>(rows: impl Iterator<Item = (bool, [&'a str; 5])>, look: &Look) -> String {
    let heading = ["VERDICT", "ENVIRONMENT", "WHAT", "RULE", "REASON"];
    let mut table = Table::new(heading.map(|name| (name, Align::Left)));
    for (good, [verdict, environment, what, rule, reason]) in rows {
        let verdict = painted(if good { Colour::Good } else { Colour::Bad }, verdict);
        table.row([verdict, plain(environment), plain(what), plain(rule), plain(reason)]);
    }
    table.render(look)
}

/// One line for each function that a release was deployed to.
pub fn drift(rows: &[DriftView], look: &Look) -> String {
    if rows.is_empty() {
        return "no function was deployed by a release yet\n".to_owned();
    }
    let left = Align::Left;
    let mut table = Table::new([
        ("FUNCTION", left),
        ("ENVIRONMENT", left),
        ("RELEASE", left),
        ("STATE", left),
        ("SHOULD RUN", left),
        ("RUNS", left),
        ("SINCE", left),
        ("CAUSE", left),
    ]);
    let short = |digest: &str| digest.chars().take("sha256:".len() + 12).collect::<String>();
    for row in rows {
        table.row([
            plain(&row.function),
            plain(&row.environment),
            plain(&row.release),
            if row.drifted { painted(Colour::Bad, "drifted") } else { painted(Colour::Good, "as released") },
            plain(short(&row.should)),
            plain(row.runs.as_deref().map_or_else(|| "nothing".to_owned(), short)),
            plain(ago(row.since, look.now)),
            plain(&row.cause),
        ]);
    }
    table.render(look)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::api::model::{EventRef, WhyStep};
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: 100, now: Timestamp::EPOCH };

    fn event_at(position: u64, ty: &str) -> EventRef {
        EventRef { id: "e".to_owned(), ty: ty.to_owned(), subject: Some("shop-1".to_owned()), position: Some(position) }
    }

    #[test]
    fn a_release_is_listed_by_its_whole_name() {
        let standing = |rule: &str| StandingView {
            standing: Standing::Blocked,
            since: Timestamp::EPOCH,
            event: event_at(12, "dev.cdeventsx.tidegate-gate.blocked.0.1.0"),
            rule: Some(rule.to_owned()),
            reason: None,
        };
        let view = ReleaseView {
            release: "storefront-1c0f6f341b2a".to_owned(),
            service: "storefront".to_owned(),
            digest: format!("sha256:{}", "9d5174f2".repeat(8)),
            commit: Some("63e06649".repeat(5)),
            since: Timestamp::EPOCH,
            environments: [("production".to_owned(), standing("missing-evidence"))].into(),
            quarantined: true,
        };
        let text = releases(&[view], &Look { width: 110, ..LOOK });
        assert!(
            ["storefront-1c0f6f341b2a", "blocked, in quarantine", "missing-evidence"]
                .iter()
                .all(|it| text.contains(it)),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }

    #[test]
    fn what_holds_something_back_is_said_first() {
        let view = WhyView {
            of: "9fceb02d".to_owned(),
            environment: "production".to_owned(),
            state: WhyState::Held,
            commit: Some("9fceb02d".to_owned()),
            digest: None,
            release: Some("shop-1".to_owned()),
            verified: None,
            cause: Some(WhyCause {
                rule: "missing-evidence".to_owned(),
                reason: "there is no image scan".to_owned(),
                clear: "scan this digest".to_owned(),
                since: Timestamp::EPOCH,
                event: event_at(12, "dev.cdeventsx.tidegate-gate.blocked.0.1.0"),
                function: Some("gate-production".to_owned()),
                environment: None,
                missing: vec!["image".to_owned()],
                input: None,
                evidence: None,
                again: None,
                because: None,
            }),
            chain: vec![WhyStep {
                at: Timestamp::EPOCH,
                event: event_at(12, "dev.cdeventsx.tidegate-gate.blocked.0.1.0"),
                by: "function gate-production".to_owned(),
                word: "gate.blocked".to_owned(),
                detail: Some("missing-evidence".to_owned()),
                counts: true,
            }],
        };
        expect![[r#"
            9fceb02d in production  held
              commit   9fceb02d
              release  shop-1

            missing-evidence  there is no image scan
              missing   image
              since     1970-01-01 00:00:00Z (now)
              event     #12 gate.blocked, function gate-production
              to clear  scan this digest

            how it came here
            WHEN  EVENT  SAID                            BY
            now     #12  gate.blocked  missing-evidence  function gate-production
        "#]]
        .assert_eq(&why(&view, &LOOK));
    }
}
