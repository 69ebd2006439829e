//! Which functions of a deployment an event goes to.

use std::collections::HashMap;

use crate::deployment::{Deployment, Function, Order};
use crate::event::Accepted;
use crate::filter::{Subject, Verdict};

/// Types whose functions are remembered.
const TYPES_KNOWN_MAX: usize = 10_000;

/// What a function's filter says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    Deliver { order_key: Option<String> },
    Filtered,
    FilterFailed,
}

/// The type index of a deployment: an event costs the functions that its type reaches, not all.
#[derive(Default)]
pub(super) struct Routes {
    functions: Vec<Function>,
    by_type: HashMap<String, Vec<usize>>,
}

impl Routes {
    pub fn new(deployment: &Deployment) -> Self {
        Routes { functions: deployment.functions.clone(), by_type: HashMap::new() }
    }

    /// Each function whose type patterns match, with what its filter says.
    pub fn judge(&mut self, event: &Accepted) -> Vec<(&Function, Judgement)> {
        if !self.by_type.contains_key(&event.event.ty) {
            if self.by_type.len() >= TYPES_KNOWN_MAX {
                self.by_type.clear();
            }
            let reached =
                (0..self.functions.len()).filter(|index| matches_type(&self.functions[*index], &event.event.ty));
            self.by_type.insert(event.event.ty.clone(), reached.collect());
        }
        let reached = self.by_type.get(&event.event.ty).map_or(&[][..], Vec::as_slice);
        if reached.is_empty() {
            return Vec::new();
        }
        let subject = Subject::new(event);
        reached.iter().map(|index| (&self.functions[*index], judge(&self.functions[*index], &subject))).collect()
    }
}

pub(super) fn matches_type(function: &Function, ty: &str) -> bool {
    function.filter.types().iter().any(|pattern| pattern.matches(ty))
}

pub(super) fn judge(function: &Function, subject: &Subject) -> Judgement {
    match function.filter.judge(subject) {
        Verdict::Pass => Judgement::Deliver { order_key: order_key(function, subject) },
        Verdict::Filtered { .. } => Judgement::Filtered,
        Verdict::Failed { .. } => Judgement::FilterFailed,
    }
}

pub(super) fn order_key(function: &Function, subject: &Subject) -> Option<String> {
    match &function.order {
        Order::None => None,
        Order::Key(expression) => expression.key(subject),
    }
}
