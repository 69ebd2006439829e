//! Which functions of a deployment an event is for: the step between the log and their cursors.

use std::sync::Arc;

use super::{Deployment, Function, Keys, Order};
use crate::event::attribute;
use crate::filter::{Subject, TypeIndex, Verdict};

/// A deployment with an index over the types that its functions ask for. Made once for each deployment.
pub struct Routes {
    deployment: Arc<Deployment>,
    /// Indexes of functions by the types that they ask for.
    index: TypeIndex<usize>,
}

/// What a function's filter says of an event whose type it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is delivered, as its keys let it.
    Deliver(Keys),
    /// By which clause, and the value that it saw.
    Filtered { clause: String, saw: String },
    /// The filter could not be evaluated: its own verdict, never "false".
    FilterFailed { clause: String, reason: String },
}

impl Routes {
    pub fn new(deployment: Arc<Deployment>) -> Self {
        let index = TypeIndex::new(deployment.functions.iter().map(|function| function.filter.types()).zip(0..));
        Routes { deployment, index }
    }

    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// The functions that ask for a type. The others never see its events.
    pub fn asking_for(&self, ty: &str) -> impl Iterator<Item = &Function> {
        self.index.lookup(ty).map(|index| &self.deployment.functions[*index])
    }
}

impl Function {
    /// What the function's filter says of an event. One subject serves all functions: its data is parsed at most once,
    /// and only if a filter or a key reads it.
    pub fn judge(&self, subject: &Subject<'_>) -> Judgement {
        match self.verdict(subject) {
            Verdict::Filtered { clause, saw } => Judgement::Filtered { clause, saw },
            Verdict::Failed { clause, reason } => Judgement::FilterFailed { clause, reason },
            Verdict::Pass => Judgement::Deliver(self.keys(subject)),
        }
    }

    /// The same before its keys: a live replay for another function is filtered, whatever the filter says.
    pub fn verdict(&self, subject: &Subject<'_>) -> Verdict {
        let is_other = |to: &String| *to != self.id.to_string();
        match subject.attribute(attribute::REPLAY_TO).filter(is_other) {
            Some(to) if self.filter.hears(subject.ty()) => Verdict::Filtered {
                clause: format!("{} is {:?}", attribute::REPLAY_TO, self.id.to_string()),
                saw: format!("{} = {to:?}", attribute::REPLAY_TO),
            },
            Some(_) | None => self.filter.judge(subject),
        }
    }

    /// What orders, limits and supersedes an event for the function.
    pub fn keys(&self, subject: &Subject<'_>) -> Keys {
        let order = match &self.order {
            Order::None => None,
            Order::Key(key) => key.key(subject),
        };
        let limit = self.limit.as_ref().and_then(|limit| limit.key.key(subject));
        let succession = self.supersede.as_ref().and_then(|supersede| supersede.succession(subject));
        Keys { order: order.map(Arc::from), limit: limit.map(Arc::from), succession }
    }

    /// Whether an event with these keys lacks one that the function asks for.
    pub fn lacks_key(&self, keys: &Keys) -> bool {
        let order = self.order != Order::None && keys.order.is_none();
        let limit = self.limit.is_some() && keys.limit.is_none();
        order || limit || (self.supersede.is_some() && keys.succession.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;
    use crate::deployment::testing::Shipped;
    use crate::deployment::{Manifest, plan};
    use crate::event::{Accepted, Event, Extension, Origin, OriginKind};

    fn routes(functions: &[(&str, &str)]) -> Routes {
        let head = |name: &str| format!("[[function]]\nname = \"{name}\"\ncomponent = \"builtin:any\"\n");
        let functions: String = functions.iter().map(|(name, more)| head(name) + more + "\n").collect();
        let (manifest, problems) = Manifest::parse(&format!("name = \"shop\"\n{functions}"), &Shipped);
        let manifest = manifest.unwrap_or_else(|| panic!("{problems:?}"));
        Routes::new(Arc::new(plan(&BTreeMap::new(), &manifest).unwrap()))
    }

    fn accepted(ty: &str, data: &'static str) -> Accepted {
        let event = Event {
            id: "1".to_owned(),
            source: "/test".to_owned(),
            ty: ty.to_owned(),
            subject: Some("order-7".to_owned()),
            data: Some(Bytes::from_static(data.as_bytes())),
            ..Event::default()
        };
        let origin = Origin { kind: OriginKind::Api, name: "test".to_owned(), verified: true };
        Accepted { position: 1, accepted_at: Timestamp::EPOCH, origin, hops: 0, event }
    }

    #[track_caller]
    fn check(routes: &Routes, ty: &str, data: &'static str, expected: &[(&str, &str)]) {
        let told = |judgement: Judgement| match judgement {
            Judgement::Deliver(keys) => {
                format!("deliver {}", [keys.order, keys.limit].map(Option::unwrap_or_default).join(" "))
            }
            Judgement::Filtered { .. } => "filtered".to_owned(),
            Judgement::FilterFailed { .. } => "filter failed".to_owned(),
        };
        let event = accepted(ty, data);
        let subject = Subject::new(&event);
        let judge = |function: &Function| (function.name.to_string(), told(function.judge(&subject)));
        let judged: Vec<_> = routes.asking_for(ty).map(judge).collect();
        let expected: Vec<_> = expected.iter().map(|(name, said)| (name.to_string(), said.to_string())).collect();
        assert_eq!(judged, expected, "{ty} {data}");
    }

    #[test]
    fn an_event_is_judged_for_the_functions_that_ask_for_its_type_and_for_no_other() {
        let routes = routes(&[
            ("all", "on = [\"*\"]\norder = { key = \"event.subject\" }"),
            ("paid", "on = [\"com.shop.order.paid\", \"com.shop.order.*\"]\nwhen = \"data.total > 10\""),
            ("gate", "on = [\"artifact.published\"]\nlimit = { key = \"event.source\", concurrency = 1 }"),
        ]);
        check(&routes, "com.shop.order.paid", "{\"total\": 12}", &[("all", "deliver order-7 "), ("paid", "deliver  ")]);
        check(&routes, "com.shop.order.paid", "{\"total\": 2}", &[("all", "deliver order-7 "), ("paid", "filtered")]);
        check(&routes, "com.shop.order.made", "{}", &[("all", "deliver order-7 "), ("paid", "filter failed")]);
        check(
            &routes,
            "dev.cdevents.artifact.published.0.2.0",
            "",
            &[("all", "deliver order-7 "), ("gate", "deliver  /test")],
        );
        check(&routes, "com.shop.refund", "", &[("all", "deliver order-7 ")]);
    }

    #[test]
    fn an_event_that_nobody_asks_for_is_nobody_s() {
        check(&routes(&[("gate", "on = [\"artifact.published\"]")]), "com.shop.refund", "", &[]);
        check(&routes(&[]), "com.shop.refund", "", &[]);
    }

    #[test]
    fn a_live_replay_for_another_function_is_filtered_by_that_and_names_it() {
        let routes = routes(&[
            ("all", "on = [\"com.shop.order.*\"]"),
            ("paid", "on = [\"com.shop.order.paid\"]\nwhen = \"data.total > 10\""),
            ("gate", "on = [\"com.shop.order.gone\"]"),
        ]);
        let [all, paid, gate] = &routes.deployment().functions[..] else { panic!("three functions are deployed") };
        let mut said = accepted("com.shop.order.paid", "{\"total\": 2}");
        let to = |function: &Function| Extension::Text(function.id.to_string());
        said.event.extensions.insert(attribute::REPLAY_TO.to_owned(), to(paid));
        let judged = |function: &Function, said: &Accepted| match function.verdict(&Subject::new(said)) {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Filtered { clause, saw } => format!("{clause} saw {saw}"),
            Verdict::Failed { clause, reason } => format!("{clause} failed {reason}"),
        };
        let expected = format!("replayto is \"{}\" saw replayto = \"{}\"", all.id, paid.id);
        assert_eq!(judged(all, &said), expected);
        assert_eq!(judged(paid, &said), "data.total > 10 saw data.total = 2", "its own filter still holds");
        assert!(judged(gate, &said).starts_with("type is com.shop.order.gone"), "it never hears the type");
        said.event.extensions.insert(attribute::REPLAY_TO.to_owned(), to(all));
        assert_eq!(judged(all, &said), "pass");
        assert!(matches!(paid.judge(&Subject::new(&said)), Judgement::Filtered { .. }));
    }
}
