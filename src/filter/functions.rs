//! What the expressions of filters call instead of CEL's own: arithmetic over mixed numbers, `matches` with compiled
//! patterns, and the guards that keep every evaluation short. `rewrite` puts the calls in; no source can spell their names.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cel::common::ast::operators;
use cel::common::functions::Function;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt, DYN_TYPE, Kind, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Env, ExecutionError};
use regex::Regex;

use super::{COST_MAX, LIST_ITEMS_MAX, MATCHED_BYTES_MAX, too_large};

/// Passes its first argument on, and takes its weight off the budget, its second.
pub(super) const CHARGE: &str = "@charge";
/// What a comprehension runs over: a list within the limit, or the keys of a map in their order.
pub(super) const ITEMS: &str = "@items";
/// Passes a container on if it is within the limit of items.
pub(super) const BOUNDED: &str = "@bounded";
/// Text, compiled pattern, budget.
pub(super) const MATCHES: &str = "@matches";

/// Operators and the functions that stand for them: left, right, budget.
pub(super) const ARITHMETIC: [(&str, &str); 5] = [
    (operators::ADD, "@add"),
    (operators::SUBSTRACT, "@subtract"),
    (operators::MULTIPLY, "@multiply"),
    (operators::DIVIDE, "@divide"),
    (operators::MODULO, "@modulo"),
];

/// CEL's standard library and the functions of this file.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let functions: [(&str, usize, Function); 9] = [
        (CHARGE, 2, charge),
        (ITEMS, 2, items),
        (BOUNDED, 1, bounded),
        (MATCHES, 3, matches),
        ("@add", 3, add),
        ("@subtract", 3, subtract),
        ("@multiply", 3, multiply),
        ("@divide", 3, divide),
        ("@modulo", 3, modulo),
    ];
    for (name, arity, function) in functions {
        let types = std::iter::repeat_with(|| DYN_TYPE).take(arity).collect();
        env.add_overload(name, name, types, function).expect("the names are ours and differ");
    }
    Arc::new(env)
});

/// What an evaluation may still cost: one for each value that it touches and each 16 bytes of text, one for each byte
/// given to `matches`. It bounds time and memory without a clock, so the same event always comes to the same verdict.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub fn new() -> Self {
        Budget(Arc::new(AtomicU64::new(COST_MAX)))
    }

    /// Takes off what `value` weighs. A loop goes on after an error, so a spent budget fails without weighing.
    fn pay_for(&self, value: &dyn Val) -> Result<(), ExecutionError> {
        match self.0.load(Ordering::Relaxed) {
            0 => self.take(1),
            left => self.take(weight(value, left)),
        }
    }

    fn take(&self, cost: u64) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(cost), Ordering::Relaxed);
        if cost <= left { Ok(()) } else { Err(failure(too_large("the expression touches too much data"))) }
    }
}

/// A compiled pattern of `matches`.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub Regex);

static HIDDEN_TYPE: Type = Type::new_unspecified_type("@hidden");

macro_rules! hidden_value {
    ($name:ty) => {
        impl Val for $name {
            fn get_type(&self) -> &Type {
                &HIDDEN_TYPE
            }

            fn cel_type() -> &'static Type {
                &HIDDEN_TYPE
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(self.clone())
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $name {}
    };
}

hidden_value!(Budget);
hidden_value!(Pattern);

/// An error whose message is the whole reason.
fn failure(reason: impl fmt::Display) -> ExecutionError {
    ExecutionError::function_error("", reason)
}

fn budget<'a>(args: &'a [CowVal<'_, '_>]) -> Result<&'a Budget, ExecutionError> {
    args.last().and_then(|last| last.downcast_ref::<Budget>()).ok_or_else(|| failure("the budget is missing"))
}

/// What a value costs; stops counting above `left`.
fn weight(value: &dyn Val, left: u64) -> u64 {
    let texts = |bytes: Option<usize>| 1 + bytes.unwrap_or_default() as u64 / 16;
    match value.get_type().kind() {
        Kind::String => texts(value.downcast_ref::<CelString>().map(|text| text.inner().len())),
        Kind::Bytes => texts(value.downcast_ref::<CelBytes>().map(|bytes| bytes.inner().len())),
        Kind::List => {
            let items = value.downcast_ref::<CelList>().map(CelList::inner).unwrap_or_default();
            sum(items.iter().map(|item| item.as_ref()), left)
        }
        Kind::Map => match value.downcast_ref::<CelMap>() {
            Some(map) => sum(map.inner().iter().flat_map(|(key, member)| [key.inner(), member.as_ref()]), left),
            None => 1,
        },
        _ => 1,
    }
}

fn sum<'b, 'v: 'b>(values: impl Iterator<Item = &'b (dyn Val + 'v)>, left: u64) -> u64 {
    let mut total = 1;
    for value in values {
        if total > left {
            break;
        }
        total += weight(value, left - total);
    }
    total
}

fn charge<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    budget(&args)?.pay_for(args[0].as_ref())?;
    Ok(args.swap_remove(0))
}

fn bounded<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    check_items(args[0].as_ref())?;
    Ok(args.swap_remove(0))
}

fn check_items(value: &dyn Val) -> Result<(), ExecutionError> {
    let items = value.as_sizer().map_or(0, |sizer| sizer.size().into_inner());
    if usize::try_from(items).is_ok_and(|items| items <= LIST_ITEMS_MAX) {
        return Ok(());
    }
    Err(failure(too_large(format_args!("a list has {items} items, filters read at most {LIST_ITEMS_MAX}"))))
}

fn items<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let range = args[0].as_ref();
    check_items(range)?;
    budget(&args)?.pay_for(range)?;
    let Some(map) = range.downcast_ref::<CelMap>() else {
        return Ok(args.swap_remove(0));
    };
    // A map of the crate yields its keys in a random order, and a verdict must come out the same every time.
    let mut keys: Vec<&CelMapKey<'v>> = map.inner().keys().collect();
    keys.sort_unstable();
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(text), Some(pattern)) = (args[0].downcast_ref::<CelString>(), args[1].downcast_ref::<Pattern>()) else {
        return Err(failure(format_args!("matches wants text, not {}", args[0].get_type().name())));
    };
    let bytes = text.inner().len();
    if bytes > MATCHED_BYTES_MAX {
        let reason = format_args!("matches was given {bytes} B of text, at most {MATCHED_BYTES_MAX} B are allowed");
        return Err(failure(too_large(reason)));
    }
    budget(&args)?.take(bytes as u64)?;
    Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner()))))
}

/// A number of any CEL type. Every int and uint is exact in 128 bits.
enum Number {
    Whole(i128),
    Double(f64),
}

fn number(value: &dyn Val) -> Option<Number> {
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Some(Number::Whole(i128::from(*number.inner())));
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Some(Number::Whole(i128::from(*number.inner())));
    }
    value.downcast_ref::<CelDouble>().map(|number| Number::Double(*number.inner()))
}

/// The two operations that an operator means; none where it has no meaning, such as dividing by a whole zero.
struct Operation {
    symbol: char,
    whole: fn(i128, i128) -> Option<i128>,
    double: fn(f64, f64) -> Option<f64>,
}

/// Whole numbers stay whole (an int if it fits, else a uint); a double on either side makes the result one.
fn calculate<'v>(
    left: &(dyn Val + 'v),
    right: &(dyn Val + 'v),
    operation: &Operation,
) -> Option<Result<Box<dyn Val + 'v>, ExecutionError>> {
    let result: Option<Box<dyn Val + 'v>> = match (number(left)?, number(right)?) {
        (Number::Whole(left), Number::Whole(right)) => (operation.whole)(left, right).and_then(whole),
        (Number::Double(left), Number::Double(right)) => (operation.double)(left, right).map(double),
        (Number::Whole(left), Number::Double(right)) => (operation.double)(left as f64, right).map(double),
        (Number::Double(left), Number::Whole(right)) => (operation.double)(left, right as f64).map(double),
    };
    let symbol = operation.symbol;
    Some(result.ok_or_else(|| failure(format_args!("{symbol} has no result for these numbers (zero or out of range)"))))
}

fn whole<'v>(number: i128) -> Option<Box<dyn Val + 'v>> {
    if let Ok(number) = i64::try_from(number) {
        return Some(Box::new(CelInt::from(number)));
    }
    u64::try_from(number).ok().map(|number| Box::new(CelUInt::from(number)) as Box<dyn Val + 'v>)
}

fn double<'v>(number: f64) -> Box<dyn Val + 'v> {
    Box::new(CelDouble::from(number))
}

/// The operator over numbers; `other` is what CEL says of anything else.
fn operate<'b, 'v>(
    args: &[CowVal<'b, 'v>],
    operation: &Operation,
    other: impl FnOnce(&(dyn Val + 'v), &(dyn Val + 'v)) -> Option<Result<Box<dyn Val + 'v>, ExecutionError>>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = (args[0].as_ref(), args[1].as_ref());
    let result = calculate(left, right, operation).or_else(|| other(left, right));
    let result = result.and_then(|result| match result {
        Err(ExecutionError::UnsupportedBinaryOperator(..)) => None,
        result => Some(result),
    });
    let types = || (left.get_type().name(), right.get_type().name());
    let unsupported = || failure(format_args!("{} cannot stand between {:?}", operation.symbol, types()));
    let result = result.unwrap_or_else(|| Err(unsupported()))?;
    budget(args)?.pay_for(result.as_ref())?;
    Ok(CowVal::Owned(result))
}

fn add<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let operation = Operation { symbol: '+', whole: i128::checked_add, double: |a, b| Some(a + b) };
    // What is put together is paid for before it is built.
    let funds = budget(&args)?;
    funds.pay_for(args[0].as_ref())?;
    funds.pay_for(args[1].as_ref())?;
    operate(&args, &operation, |left, right| left.as_adder().map(|adder| adder.add(right).map(CowVal::into_owned)))
}

fn subtract<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let operation = Operation { symbol: '-', whole: i128::checked_sub, double: |a, b| Some(a - b) };
    operate(&args, &operation, |left, right| {
        left.as_subtractor().map(|subtractor| subtractor.sub(right).map(CowVal::into_owned))
    })
}

fn multiply<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let operation = Operation { symbol: '*', whole: i128::checked_mul, double: |a, b| Some(a * b) };
    operate(&args, &operation, |_, _| None)
}

fn divide<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let operation = Operation { symbol: '/', whole: i128::checked_div, double: |a, b| Some(a / b) };
    operate(&args, &operation, |_, _| None)
}

fn modulo<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let operation = Operation { symbol: '%', whole: i128::checked_rem, double: |_, _| None };
    operate(&args, &operation, |_, _| None)
}
