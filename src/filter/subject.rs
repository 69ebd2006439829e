//! An event as filters see it: the variables `event`, `data` and `origin`.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{DATA_READ_BYTES_MAX, too_large};
use crate::event::{Accepted, Event, Extension, attribute};

/// An event as filters see it. Its data is parsed once, and only when a filter reads it; so one subject serves all filters
/// that judge the event, from any thread.
pub struct Subject<'a> {
    accepted: &'a Accepted,
    event: OnceLock<CelMap<'a>>,
    origin: OnceLock<CelMap<'a>>,
    data: OnceLock<Result<Box<dyn Val>, String>>,
}

type Members<'a> = HashMap<CelMapKey<'a>, Box<dyn Val + 'a>>;

impl<'a> Subject<'a> {
    pub fn new(accepted: &'a Accepted) -> Self {
        Subject { accepted, event: OnceLock::new(), origin: OnceLock::new(), data: OnceLock::new() }
    }

    /// An event whose data could not be read: what asks for it fails for this reason.
    pub fn without_data(accepted: &'a Accepted, reason: String) -> Self {
        Subject { data: OnceLock::from(Err(reason)), ..Subject::new(accepted) }
    }

    pub fn ty(&self) -> &str {
        &self.accepted.event.ty
    }

    /// An attribute's canonical text, by its CloudEvents name.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let event = &self.accepted.event;
        match name {
            "specversion" => Some("1.0".to_owned()),
            "id" => Some(event.id.clone()),
            "source" => Some(event.source.clone()),
            "type" => Some(event.ty.clone()),
            "subject" => event.subject.clone(),
            "time" => event.time.clone(),
            "datacontenttype" => event.datacontenttype.clone(),
            "dataschema" => event.dataschema.clone(),
            _ => event.extensions.get(name).map(Extension::to_string),
        }
    }

    /// The variable `event`: every attribute that is present, extensions beside the others.
    pub(super) fn event(&self) -> &CelMap<'a> {
        self.event.get_or_init(|| CelMap::from(attributes(&self.accepted.event)))
    }

    /// The variable `origin`.
    pub(super) fn origin(&self) -> &CelMap<'a> {
        self.origin.get_or_init(|| {
            let origin = &self.accepted.origin;
            let mut members = Members::new();
            members.insert("kind".into(), text(origin.kind.as_str()));
            members.insert("name".into(), text(&origin.name));
            members.insert("verified".into(), Box::new(CelBool::from(origin.verified)));
            CelMap::from(members)
        })
    }

    /// The variable `data`: parsed JSON; text or bytes where the content type says that it is no JSON; null where there is
    /// none. The error is the reason why a filter that reads it fails.
    pub(super) fn data(&self) -> Result<&dyn Val, &str> {
        let data = self.data.get_or_init(|| parse(&self.accepted.event));
        data.as_ref().map(|value| &**value).map_err(String::as_str)
    }
}

fn text(text: &str) -> Box<dyn Val + '_> {
    Box::new(CelString::from(text))
}

fn attributes(event: &Event) -> Members<'_> {
    let mut members = Members::with_capacity(8 + event.extensions.len());
    let optional = [
        ("subject", &event.subject),
        ("time", &event.time),
        ("datacontenttype", &event.datacontenttype),
        ("dataschema", &event.dataschema),
    ];
    for (name, value) in [("specversion", "1.0"), ("id", &event.id), ("source", &event.source), ("type", &event.ty)] {
        members.insert(name.into(), text(value));
    }
    for (name, value) in optional {
        if let Some(value) = value {
            members.insert(name.into(), text(value));
        }
    }
    for (name, value) in &event.extensions {
        let value: Box<dyn Val + '_> = match value {
            Extension::Text(value) => text(value),
            Extension::Integer(number) => Box::new(CelInt::from(i64::from(*number))),
            Extension::Boolean(flag) => Box::new(CelBool::from(*flag)),
        };
        members.insert(name.as_str().into(), value);
    }
    members
}

fn parse(event: &Event) -> Result<Box<dyn Val>, String> {
    let Some(data) = &event.data else {
        return match event.text(attribute::DATA_REF) {
            Some(place) => Err(format!("data is not in the event but at {place:?}; filter on attributes instead")),
            None => Ok(Box::new(CelNull)),
        };
    };
    if data.len() > DATA_READ_BYTES_MAX {
        return Err(too_large(format_args!("data has {} B, filters read at most {DATA_READ_BYTES_MAX} B", data.len())));
    }
    if event.is_json() {
        let value: Value = serde_json::from_slice(data).map_err(|error| format!("data is no JSON: {error}"))?;
        return Ok(value.0);
    }
    Ok(match std::str::from_utf8(data) {
        Ok(text) => Box::new(CelString::from(text.to_owned())),
        Err(_) => Box::new(CelBytes::from(data.to_vec())),
    })
}

/// A JSON value as a CEL value.
///
/// A number is an int if it fits, else a uint, else a double, whatever its literal: 200, 200.0 and 2e2 are one value, so
/// that `==`, order, `in` and arithmetic cannot tell them apart.
struct Value(Box<dyn Val>);

/// The least double above every i64.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
/// The least double above every u64.
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

fn number(number: f64) -> Box<dyn Val> {
    let whole = number.fract() == 0.0;
    if whole && (-INT_END..INT_END).contains(&number) {
        Box::new(CelInt::from(number as i64))
    } else if whole && (0.0..UINT_END).contains(&number) {
        Box::new(CelUInt::from(number as u64))
    } else {
        Box::new(CelDouble::from(number))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value(Box::new(CelNull)))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
                Ok(Value(Box::new(CelBool::from(flag))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value(Box::new(CelInt::from(number))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value(match i64::try_from(number) {
                    Ok(number) => Box::new(CelInt::from(number)),
                    Err(_) => Box::new(CelUInt::from(number)),
                }))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value(number(value)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value(Box::new(CelString::from(text.to_owned()))))
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value(Box::new(CelString::from(text))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items: Vec<Box<dyn Val>> = Vec::new();
                while let Some(Value(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value(Box::new(CelList::from(items))))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members: HashMap<CelMapKey<'static>, Box<dyn Val>> = HashMap::new();
                while let Some((name, Value(value))) = map.next_entry::<String, Value>()? {
                    members.insert(name.into(), value);
                }
                Ok(Value(Box::new(CelMap::from(members))))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
