//! Which event types a function may be granted to emit.
//!
//! No type has both a trigger and a function as origin: what a sender said and what a function decided can be told
//! apart by type alone. What Tidegate says of itself is nobody else's.

use crate::deployment::Trigger;
use crate::deployment::catalogue::{Author, catalogue, type_pattern};
use crate::filter::overlap;

/// What the shipped senders call events for which CDEvents has no word.
const SENDER_NAMESPACES: [&str; 2] = ["com.github.*", "com.s3.*"];

/// The pattern of full types that a name in `emits` grants.
pub(super) fn granted(name: &str, triggers: &[Trigger]) -> Result<String, String> {
    let pattern = String::from(type_pattern(name)?);
    let refuse = |taken: &str, owner: &str| {
        let what = if taken == name { String::new() } else { format!("takes in {taken}, which ") };
        Err(format!("{name:?} {what}is said by {owner} alone; grant what this function decides"))
    };
    for entry in catalogue() {
        let owner = match entry.author {
            Author::Function | Author::Granted => continue,
            Author::Trigger => "triggers",
            Author::Runtime => "tidegate",
        };
        if overlap(&pattern, &format!("{}*", entry.stem())) {
            return refuse(entry.name, owner);
        }
    }
    for namespace in SENDER_NAMESPACES {
        if overlap(&pattern, namespace) {
            return refuse(namespace, "triggers");
        }
    }
    let made = triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Schedule(schedule) => Some(&schedule.ty),
        Trigger::Queue(queue) => Some(&queue.ty),
        Trigger::Webhook(_) | Trigger::Bucket(_) => None,
    });
    for ty in made {
        if overlap(&pattern, ty) {
            return Err(format!(
                "{name:?} takes in {ty}, which a trigger of this file makes; no type has both origins"
            ));
        }
    }
    Ok(pattern)
}
