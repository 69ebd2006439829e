//! The steps that led to where something stands: what was decided, without what it overtook.

use super::decide::DEPLOYED;
use super::word::Word;
use crate::api::model::WhyStep;

/// Reminders of functions to themselves.
const REMINDERS: [&str; 4] = ["gate.asked", "run.due", "task.due", "verification.due"];

pub fn chain(words: &[&Word]) -> Vec<WhyStep> {
    let kept = words.iter().enumerate().filter(|(index, word)| !is_overtaken(word, &words[index + 1..]));
    kept.map(|(_, word)| word.step()).collect()
}

/// Whether what came after says all that a word said. What nobody may say overtakes nothing, and is always shown.
fn is_overtaken(word: &Word, after: &[&Word]) -> bool {
    if !word.counts {
        return false;
    }
    let later = |names: &[&str]| after.iter().any(|other| other.counts && other.is(names));
    let answered = |names: &[&str]| {
        let answer = |other: &&&Word| other.counts && other.causation.as_ref() == Some(&word.event.id);
        after.iter().filter(answer).any(|other| other.is(names))
    };
    match word.name.as_str() {
        name if REMINDERS.contains(&name) => !after.is_empty(),
        name if name.ends_with(".report") => answered(&["scan.completed"]),
        "tidegate-change.refused" => later(&["tidegate-change.accepted", "tidegate-change.refused"]),
        "pipelinerun.queued" | "taskrun.finished" => later(&["pipelinerun.finished"]),
        "task.requested" => {
            let same = |other: &&&Word| other.counts && other.event.subject == word.event.subject;
            later(&["pipelinerun.finished"]) || after.iter().filter(same).any(|other| other.name == "taskrun.finished")
        }
        "artifact.published" => answered(&["artifact.identified"]),
        "scan.requested" => later(&["scan.completed"]),
        "gate.blocked" => {
            let here = |other: &&&Word| other.counts && other.environment() == word.environment();
            after.iter().filter(here).any(|other| other.is(&["gate.blocked", "gate.passed"]))
        }
        "quarantine.lifted" => answered(&["digest.cleared"]),
        "deployment.requested" => answered(&["deployment.activated", "deployment.refused"]),
        "deployment.activated" => answered(&DEPLOYED),
        "deployment.refused" => answered(&["release.refused"]),
        _ => false,
    }
}
