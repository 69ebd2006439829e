//! One CEL expression, compiled: its evaluation, and what it saw.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, ExecutionError, Value};

use super::functions::{Budget, ENVIRONMENT};
use super::rewrite::{BUDGET, Needs, PATTERN, Place, rewrite};
use super::{EXPRESSION_BYTES_MAX, Subject};
use crate::clock::Timestamp;
use crate::event::{Accepted, Event, Origin, OriginKind};

/// Address space for parsing one expression of `EXPRESSION_BYTES_MAX`; memory is taken as it is used.
const PARSER_STACK_BYTES: usize = 64 * 1024 * 1024;
/// Text of a value that a verdict shows.
const SAW_CHARS_MAX: usize = 120;

/// A compiled expression. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Expression(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    root: IdedExpr,
    needs: Needs,
}

impl Expression {
    /// Compiles `source`. The error names the column, and the line if there are several.
    pub fn compile(source: &str) -> Result<Self, String> {
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("has {} B, at most {EXPRESSION_BYTES_MAX} B are allowed", source.len()));
        }
        // The parser recurses as deep as the source nests. With a stack that is enough for the longest source, depth is a
        // reason to refuse an expression and not to end the process.
        std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES);
            let parser = parser.spawn_scoped(scope, || Compiled::new(source));
            let parser = parser.map_err(|error| format!("cannot be parsed: no thread ({error})"))?;
            parser.join().unwrap_or_else(|_| Err("cannot be parsed".to_owned()))
        })
        .map(|compiled| Expression(Arc::new(compiled)))
    }

    /// Whether the expression holds; the error is why it cannot be told.
    pub fn holds(&self, subject: &Subject<'_>) -> Result<bool, String> {
        self.evaluate(subject, |value| match value.downcast_ref::<CelBool>() {
            Some(flag) => Ok(*flag.inner()),
            None => Err(format!("is {}, and must be true or false", value.get_type().name())),
        })
    }

    /// Why the expression never holds, where that can be told without an event: it reads none, and is no `true` or `false`.
    pub fn never_holds(&self) -> Option<String> {
        let origin = Origin { kind: OriginKind::Api, name: String::new(), verified: false };
        let event = Event::default();
        let nothing = Accepted { position: 0, accepted_at: Timestamp::EPOCH, origin, hops: 0, event };
        self.0.needs.reads.is_empty().then(|| self.holds(&Subject::new(&nothing)).err()).flatten()
    }

    /// The expression's value as text; none if it is no scalar, or empty.
    pub fn text(&self, subject: &Subject<'_>) -> Result<Option<String>, String> {
        self.evaluate(subject, |value| Ok(scalar(value).filter(|text| !text.is_empty())))
    }

    /// The expression's value in millionths; none if it is no number, or not finite.
    pub fn millionths(&self, subject: &Subject<'_>) -> Result<Option<i128>, String> {
        self.evaluate(subject, |value| Ok(millionths(value)))
    }

    /// The places that the expression reads, with what is there.
    pub fn saw(&self, subject: &Subject<'_>) -> String {
        let reads = self.0.needs.reads.iter().map(|place| {
            let path = place.path(place.members.len());
            match look(place, subject) {
                Ok(value) => format!("{path} = {}", shorten(&show(value))),
                Err(_) => format!("{path} is absent"),
            }
        });
        reads.collect::<Vec<_>>().join(", ")
    }

    fn evaluate<T>(
        &self,
        subject: &Subject<'_>,
        read: impl FnOnce(&dyn Val) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.0.needs.data {
            subject.data()?;
        }
        // A defect of the evaluation on one event is that event's verdict, and not the end of all routing. Nothing that
        // is changed meanwhile outlives it.
        let evaluation = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let scope = Scope::new(subject, &self.0.needs);
            let context = scope.context();
            match Value::resolve_val(&self.0.root, &context) {
                Ok(value) => read(value.as_ref()),
                Err(error) => Err(self.reason(&error, subject)),
            }
        }));
        evaluation.unwrap_or_else(|_| Err("cannot be evaluated: the evaluation panicked".to_owned()))
    }

    /// The reason in words: short, and with the path of what is missing.
    fn reason(&self, error: &ExecutionError, subject: &Subject<'_>) -> String {
        match error {
            ExecutionError::NoSuchKey(name) => {
                let mut required = self.0.needs.reads.iter().filter(|place| !place.is_test);
                let missing = required.find_map(|place| {
                    look(place, subject).err().filter(|path| path.rsplit('.').next() == Some(name.as_str()))
                });
                format!("{} is absent; test it with has() first", missing.unwrap_or_else(|| name.to_string()))
            }
            ExecutionError::FunctionError { message, .. } => shorten(message),
            ExecutionError::UnsupportedIndex(..) | ExecutionError::IndexOutOfBounds(_) => {
                "there is no such index; test the size first".to_owned()
            }
            ExecutionError::NoSuchOverload(overload) => {
                let types = overload.argument_types().join(", ");
                format!("{} is not defined for {types}", overload.function().trim_matches(['_', '@']))
            }
            ExecutionError::UnexpectedType { got, want } => format!("found {got} where {want} is needed"),
            other => shorten(&other.to_string()),
        }
    }
}

impl Compiled {
    fn new(source: &str) -> Result<Self, String> {
        let program = ENVIRONMENT.parser().max_recursion_depth(32).parse_with_source_info(source);
        let (mut root, places) = program.map_err(|errors| match errors.errors.first() {
            Some(error) => {
                let (line, column) = error.pos;
                place(source, line, column.max(1), error.msg.lines().next().unwrap_or_default())
            }
            None => "is no expression".to_owned(),
        })?;
        let needs = rewrite(&mut root).map_err(|refusal| {
            let (line, column) = position(source, &places, refusal.id);
            place(source, line, column, &refusal.reason)
        })?;
        Ok(Compiled { root, needs })
    }
}

/// What the names of an expression mean while it is evaluated.
struct Scope<'s, 'a> {
    subject: &'s Subject<'a>,
    needs: &'s Needs,
    budget: Budget,
}

impl<'s, 'a> Scope<'s, 'a> {
    fn new(subject: &'s Subject<'a>, needs: &'s Needs) -> Self {
        Scope { subject, needs, budget: Budget::new() }
    }

    fn context(&self) -> Context<'_, '_> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(self);
        context
    }
}

impl VariableResolver for Scope<'_, '_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match name {
            "event" => Some(CowVal::Borrowed(self.subject.event())),
            "origin" => Some(CowVal::Borrowed(self.subject.origin())),
            "data" => self.subject.data().ok().map(CowVal::Borrowed),
            BUDGET => Some(CowVal::Borrowed(&self.budget)),
            _ => {
                let number: usize = name.strip_prefix(PATTERN)?.parse().ok()?;
                self.needs.patterns.get(number).map(|pattern| CowVal::Borrowed(pattern as &dyn Val))
            }
        }
    }
}

/// What is at a place; the error is the first part of its path that is not there.
fn look<'s>(place: &'s Place, subject: &'s Subject<'_>) -> Result<&'s dyn Val, String> {
    let mut at: &dyn Val = match place.variable.as_str() {
        "event" => subject.event(),
        "origin" => subject.origin(),
        _ => subject.data().map_err(|_| place.path(0))?,
    };
    for (index, member) in place.members.iter().enumerate() {
        let members = at.downcast_ref::<CelMap>().map(CelMap::inner);
        let found = members.and_then(|members| members.get(&CelMapKey::from(member.as_str())));
        at = found.ok_or_else(|| place.path(index + 1))?.as_ref();
    }
    Ok(at)
}

fn scalar(value: &dyn Val) -> Option<String> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Some(text.inner().to_owned());
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Some(number.inner().to_string());
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Some(number.inner().to_string());
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return Some(number.inner().to_string());
    }
    value.downcast_ref::<CelBool>().map(|flag| flag.inner().to_string())
}

fn millionths(value: &dyn Val) -> Option<i128> {
    let whole = |number: i128| number * 1_000_000;
    let int = value.downcast_ref::<CelInt>().map(|number| whole(i128::from(*number.inner())));
    let uint = || value.downcast_ref::<CelUInt>().map(|number| whole(i128::from(*number.inner())));
    let double = || value.downcast_ref::<CelDouble>().map(|number| *number.inner()).filter(|number| number.is_finite());
    // Past what fits, a number is the last one that does.
    int.or_else(uint).or_else(|| double().map(|number| (number * 1e6).round() as i128))
}

/// A value as it would stand in an expression; containers by their size.
fn show(value: &dyn Val) -> String {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return format!("{:?}", text.inner());
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return format!("a list of {}", list.inner().len());
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return format!("an object of {}", map.inner().len());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return format!("{} B", bytes.inner().len());
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return "null".to_owned();
    }
    scalar(value).unwrap_or_else(|| value.get_type().name().to_owned())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SAW_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn place(source: &str, line: isize, column: isize, reason: &str) -> String {
    if source.contains('\n') {
        format!("line {line}, column {column}: {reason}")
    } else {
        format!("column {column}: {reason}")
    }
}

/// Line and column of a node, from 1.
fn position(source: &str, places: &SourceInfo, id: u64) -> (isize, isize) {
    let start = places.offset_for(id).map_or(0, |(start, _)| start as usize);
    let before: Vec<char> = source.chars().take(start).collect();
    let line = before.iter().filter(|c| **c == '\n').count() + 1;
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    (line as isize, column as isize)
}
