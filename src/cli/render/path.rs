//! The path from commit to production, for people.

use super::explanation::reference;
use super::time::{ago, when};
use super::{Align, Colour, Look, Table, clean, facts, painted, plain};
use crate::api::model::{DriftView, ReleaseView, Standing, StandingView, WhyCause, WhyState, WhyView};

/// Steps that are shown: the first and the last are the most telling.
const STEPS_FIRST_MAX: usize = 6;
const STEPS_LAST_MAX: usize = 14;

/// Where something stands, what is in its way, and what led there: one screen.
pub fn why(view: &WhyView, look: &Look) -> String {
    let (colour, words) = match view.state {
        WhyState::Released => (Colour::Good, "released"),
        WhyState::Replaced => (Colour::Faint, "replaced"),
        WhyState::Held => (Colour::Bad, "held"),
        WhyState::Failed => (Colour::Bad, "failed"),
        WhyState::Waiting => (Colour::Waiting, "waiting"),
    };
    let heading = look.strong(&format!("{} in {}", clean(&view.of), clean(&view.environment)));
    let mut text = format!("{heading}  {}\n", look.paint(colour, words));
    text += &facts(
        look,
        &[("commit", view.commit.clone()), ("digest", view.digest.clone()), ("release", view.release.clone())],
    );
    if let Some(cause) = &view.cause {
        text.push('\n');
        text += &reasons(cause, look);
    }
    if !view.chain.is_empty() {
        text += "\nhow it came here\n";
        text += &steps(view, look);
    }
    text
}

fn reasons(cause: &WhyCause, look: &Look) -> String {
    let by = cause.function.as_ref().map_or_else(String::new, |function| format!(", by {function}"));
    let missing = (!cause.missing.is_empty()).then(|| cause.missing.join(", "));
    format!("{}  {}\n", look.bad(&clean(&cause.rule)), clean(&cause.reason))
        + &facts(
            look,
            &[
                ("missing", missing),
                ("saw", cause.input.clone()),
                ("evidence", cause.evidence.clone()),
                ("since", Some(when(cause.since, look))),
                ("said in", Some(format!("{}{by}", reference(&cause.event)))),
                ("again", cause.again.clone()),
                ("to clear", Some(cause.clear.clone())),
            ],
        )
}

fn steps(view: &WhyView, look: &Look) -> String {
    let left = Align::Left;
    let mut table = Table::new([("WHEN", left), ("EVENT", Align::Right), ("SAID", left), ("BY", left)]);
    let last = view.chain.len().saturating_sub(STEPS_LAST_MAX).max(STEPS_FIRST_MAX);
    for (index, step) in view.chain.iter().enumerate() {
        if (STEPS_FIRST_MAX..last).contains(&index) {
            if index == STEPS_FIRST_MAX {
                table.row([plain("..."), plain(""), plain(format!("{} more", last - STEPS_FIRST_MAX)), plain("")]);
            }
            continue;
        }
        let detail = step.detail.as_ref().map_or_else(String::new, |detail| format!("  {detail}"));
        table.row([
            plain(ago(step.at, look.now)),
            plain(super::place(step.event.position)),
            plain(format!("{}{detail}", step.word)),
            plain(&step.by),
        ]);
    }
    table.render(look)
}

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
    ]);
    for release in releases {
        let commit: String = release.commit.as_deref().unwrap_or("-").chars().take(12).collect();
        let digest: String = release.digest.chars().take("sha256:".len() + 12).collect();
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

    fn event(position: u64, ty: &str) -> EventRef {
        EventRef { id: "e".to_owned(), ty: ty.to_owned(), subject: Some("shop-1".to_owned()), position: Some(position) }
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
            cause: Some(WhyCause {
                rule: "missing-evidence".to_owned(),
                reason: "there is no image scan".to_owned(),
                clear: "scan this digest".to_owned(),
                since: Timestamp::EPOCH,
                event: event(12, "dev.cdeventsx.tidegate-gate.blocked.0.1.0"),
                function: Some("gate-production".to_owned()),
                missing: vec!["image".to_owned()],
                input: None,
                evidence: None,
                again: None,
            }),
            chain: vec![WhyStep {
                at: Timestamp::EPOCH,
                event: event(12, "dev.cdeventsx.tidegate-gate.blocked.0.1.0"),
                by: "function gate-production".to_owned(),
                word: "gate.blocked".to_owned(),
                detail: Some("missing-evidence".to_owned()),
            }],
        };
        expect![[r#"
            9fceb02d in production  held
              commit   9fceb02d
              release  shop-1

            missing-evidence  there is no image scan
              missing   image
              since     1970-01-01 00:00:00Z (now)
              said in   #12 dev.cdeventsx.tidegate-gate.blocked.0.1.0 shop-1, by gate-production
              to clear  scan this digest

            how it came here
            WHEN  EVENT  SAID                            BY
            now     #12  gate.blocked  missing-evidence  function gate-production
        "#]]
        .assert_eq(&why(&view, &LOOK));
    }
}
