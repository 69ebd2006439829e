//! Problems of a project file, as editors and compilers write them.

use super::{Look, clean, count};
use crate::api::model::{ProblemView, SeverityView};
use crate::deployment::PROJECT_FILE;

/// A line for each problem, and one that sums them up. `functions`: how many were found, where the file could be read
/// whole.
pub fn problems(problems: &[ProblemView], functions: Option<usize>, look: &Look) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == SeverityView::Error).count() as u64;
    let warnings = problems.len() as u64 - errors;
    let warned = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
    let summary = match functions {
        Some(functions) if errors == 0 => {
            look.good(&format!("{PROJECT_FILE} is good: {}{warned}", count(functions as u64, "function")))
        }
        _ => look.bad(&format!("{}{warned}", count(errors, "error"))),
    };
    format!("{}{summary}\n", lines(problems, look))
}

/// A line for each problem: `tidegate.toml:LINE: error: KEY: MESSAGE`.
pub fn lines(problems: &[ProblemView], look: &Look) -> String {
    problems.iter().map(|problem| format!("{}\n", line(problem, look))).collect()
}

fn line(problem: &ProblemView, look: &Look) -> String {
    let severity = match problem.severity {
        SeverityView::Error => look.bad("error"),
        SeverityView::Warning => look.waiting("warning"),
    };
    let place = problem.line.map_or_else(String::new, |line| format!(":{line}"));
    let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
    format!("{PROJECT_FILE}{place}: {severity}: {}", clean(&format!("{key}{}", problem.message)))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: 80, now: Timestamp::EPOCH };

    fn problem(severity: SeverityView, line: Option<usize>) -> ProblemView {
        ProblemView { severity, key: "function[0].when".into(), line, message: "unknown name \u{1b}x".into() }
    }

    #[test]
    fn problems_have_their_place_and_are_summed_up() {
        let found = [problem(SeverityView::Error, Some(12)), problem(SeverityView::Warning, None)];
        expect![[r#"
            tidegate.toml:12: error: function[0].when: unknown name \u{1b}x
            tidegate.toml: warning: function[0].when: unknown name \u{1b}x
            1 error, 1 warning
        "#]]
        .assert_eq(&problems(&found, None, &LOOK));
    }

    #[test]
    fn warnings_leave_a_file_good() {
        let found = [problem(SeverityView::Warning, Some(3))];
        expect![[r#"
            tidegate.toml:3: warning: function[0].when: unknown name \u{1b}x
            tidegate.toml is good: 2 functions, 1 warning
        "#]]
        .assert_eq(&problems(&found, Some(2), &LOOK));
    }
}
