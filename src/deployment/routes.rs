//! Which functions of a deployment an event is for: the step between the log and their cursors.

use std::sync::Arc;

use super::{Deployment, Order};
use crate::event::Accepted;
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
    /// It is delivered; events of one order key one at a time. None: not ordered.
    Deliver { order_key: Option<String> },
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

    /// Judges an event for every function whose type pattern matches it, by index in `Deployment::functions`. The
    /// others never see it. Its data is parsed at most once, and only if a filter or an order key reads it.
    pub fn judge(&self, event: &Accepted) -> Vec<(usize, Judgement)> {
        // A subject reads nothing until it is asked, so an event that no function wants costs one look-up.
        let subject = Subject::new(event);
        self.index.lookup(&event.event.ty).map(|index| (*index, self.judge_one(*index, &subject))).collect()
    }

    fn judge_one(&self, index: usize, subject: &Subject<'_>) -> Judgement {
        let function = &self.deployment.functions[index];
        match function.filter.judge(subject) {
            Verdict::Filtered { clause, saw } => Judgement::Filtered { clause, saw },
            Verdict::Failed { clause, reason } => Judgement::FilterFailed { clause, reason },
            Verdict::Pass => {
                let order_key = match &function.order {
                    Order::None => None,
                    Order::Key(key) => key.key(subject),
                };
                Judgement::Deliver { order_key }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;
    use crate::deployment::{Manifest, Sources, plan};
    use crate::event::{Event, Origin, OriginKind};

    struct Builtins;

    impl Sources for Builtins {
        fn file(&self, _path: &str) -> Result<Vec<u8>, String> {
            Err("no such file".to_owned())
        }

        fn builtin(&self, _name: &str) -> Option<&'static [u8]> {
            Some(b"component")
        }

        fn imports(&self, _component: &[u8]) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }

        fn env(&self, _name: &str) -> Option<String> {
            None
        }
    }

    fn routes(functions: &[(&str, &str)]) -> Routes {
        let head = |name: &str| format!("[[function]]\nname = \"{name}\"\ncomponent = \"builtin:any\"\n");
        let functions: String = functions.iter().map(|(name, more)| head(name) + more + "\n").collect();
        let (manifest, problems) = Manifest::parse(&format!("name = \"shop\"\n{functions}"), &Builtins);
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
    fn check(routes: &Routes, ty: &str, data: &'static str, expected: &[(usize, &str)]) {
        let name = |judgement: Judgement| match judgement {
            Judgement::Deliver { order_key } => format!("deliver {}", order_key.unwrap_or_default()),
            Judgement::Filtered { .. } => "filtered".to_owned(),
            Judgement::FilterFailed { .. } => "filter failed".to_owned(),
        };
        let judged: Vec<_> = routes.judge(&accepted(ty, data)).into_iter().map(|(at, said)| (at, name(said))).collect();
        let expected: Vec<_> = expected.iter().map(|(at, said)| (*at, (*said).to_owned())).collect();
        assert_eq!(judged, expected, "{ty} {data}");
    }

    #[test]
    fn an_event_is_judged_for_the_functions_that_ask_for_its_type_and_for_no_other() {
        let routes = routes(&[
            ("all", "on = [\"*\"]\norder = { key = \"event.subject\" }"),
            ("paid", "on = [\"com.shop.order.paid\", \"com.shop.order.*\"]\nwhen = \"data.total > 10\""),
            ("gate", "on = [\"artifact.published\"]"),
        ]);
        check(&routes, "com.shop.order.paid", "{\"total\": 12}", &[(0, "deliver order-7"), (1, "deliver ")]);
        check(&routes, "com.shop.order.paid", "{\"total\": 2}", &[(0, "deliver order-7"), (1, "filtered")]);
        check(&routes, "com.shop.order.made", "{}", &[(0, "deliver order-7"), (1, "filter failed")]);
        check(&routes, "dev.cdevents.artifact.published.0.2.0", "", &[(0, "deliver order-7"), (2, "deliver ")]);
        check(&routes, "com.shop.refund", "", &[(0, "deliver order-7")]);
    }

    #[test]
    fn an_event_that_nobody_asks_for_is_nobody_s() {
        check(&routes(&[("gate", "on = [\"artifact.published\"]")]), "com.shop.refund", "", &[]);
        check(&routes(&[]), "com.shop.refund", "", &[]);
    }
}
