//! Checks a parsed expression, and puts the calls of `functions` in place of what CEL would do.
//!
//! Refused here, with the column: names and functions that do not exist, nested comprehensions, patterns of `matches` that
//! are no literal, and expressions that nest too deeply.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::RegexBuilder;

use super::functions::{ARITHMETIC, BOUNDED, CHARGE, ITEMS, MATCHES, Pattern};

/// Names that expressions can read.
pub(super) const VARIABLES: [&str; 3] = ["event", "data", "origin"];
/// The budget of the evaluation, as a name that no source can spell.
pub(super) const BUDGET: &str = "@budget";
/// What comprehensions gather, as the parser names it.
const RESULT: &str = "@result";
/// Before the number of a pattern.
pub(super) const PATTERN: &str = "@pattern";

/// Deeper expressions are refused: evaluation recurses, and must fit the stack of any thread.
const DEPTH_MAX: usize = 16;
/// Memory of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "uint"];
const FUNCTIONS: [&str; 19] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "hasValue",
    "int",
    "matches",
    "or",
    "orValue",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
    "value",
];
const OPERATORS: [&str; 16] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::IN,
];

/// Why an expression is refused, and at which node.
pub(super) struct Refusal {
    pub id: u64,
    pub reason: String,
}

/// What an expression needs to be evaluated.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub data: bool,
    pub patterns: Vec<Pattern>,
    /// The places that it reads: what `explain` shows.
    pub reads: Vec<Place>,
}

/// A member of a variable, such as `data.severity`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// `event`, `data` or `origin`.
    pub variable: String,
    pub members: Vec<String>,
    /// Whether the expression only asks if it is there.
    pub is_test: bool,
}

impl Place {
    /// None if the node is no path of names.
    fn of(node: &IdedExpr) -> Option<Place> {
        match &node.expr {
            Expr::Ident(name) => Some(Place { variable: name.clone(), members: Vec::new(), is_test: false }),
            Expr::Select(select) => {
                let mut place = Place::of(&select.operand)?;
                place.members.push(select.field.clone());
                place.is_test |= select.test;
                Some(place)
            }
            _ => None,
        }
    }

    /// The path up to its `count`th member.
    pub fn path(&self, count: usize) -> String {
        self.members.iter().take(count).fold(self.variable.clone(), |path, member| path + "." + member)
    }
}

/// Rewrites `expression` in place.
pub(super) fn rewrite(expression: &mut IdedExpr) -> Result<Needs, Refusal> {
    let mut rewriter = Rewriter { needs: Needs::default(), variable: None, depth: 0 };
    rewriter.node(expression)?;
    Ok(rewriter.needs)
}

struct Rewriter {
    needs: Needs,
    /// The variable of the comprehension that the node stands in.
    variable: Option<String>,
    depth: usize,
}

impl Rewriter {
    fn node(&mut self, node: &mut IdedExpr) -> Result<(), Refusal> {
        if self.depth >= DEPTH_MAX {
            return Err(refuse(node, format!("nests more than {DEPTH_MAX} deep; split it at &&, or simplify it")));
        }
        self.depth += 1;
        let kind = self.expression(node);
        self.depth -= 1;
        // In a loop every value is paid for each time it is touched.
        if kind? && self.variable.is_some() {
            wrap(node, CHARGE, &[BUDGET]);
        }
        Ok(())
    }

    /// Answers whether the node's value can be large.
    fn expression(&mut self, node: &mut IdedExpr) -> Result<bool, Refusal> {
        if let Some(place) = Place::of(node) {
            let can_be_large = place.variable != RESULT && !place.is_test;
            return self.place(node, place).map(|()| can_be_large);
        }
        let id = node.id;
        match &mut node.expr {
            Expr::Literal(_) => Ok(false),
            Expr::Select(select) => self.node(&mut select.operand).map(|()| !select.test),
            Expr::Call(_) => self.call(node),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.element(element)).map(|()| true),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.node(&mut entry.key)?;
                        self.element(&mut entry.value)?;
                    }
                }
                Ok(true)
            }
            Expr::Comprehension(_) if self.variable.is_some() => {
                Err(Refusal { id, reason: "comprehensions do not nest; filter in the function instead".to_owned() })
            }
            Expr::Comprehension(loops) => {
                self.node(&mut loops.iter_range)?;
                wrap(&mut loops.iter_range, ITEMS, &[BUDGET]);
                self.node(&mut loops.accu_init)?;
                self.variable = Some(loops.iter_var.clone());
                let inner = [&mut loops.loop_cond, &mut loops.loop_step, &mut loops.result];
                let inner = inner.into_iter().try_for_each(|part| self.node(part));
                self.variable = None;
                inner.map(|()| true)
            }
            Expr::Struct(_) => Err(refuse(node, "messages cannot be built here; use a map".to_owned())),
            Expr::Ident(_) | Expr::Unspecified => Err(refuse(node, "is no expression".to_owned())),
        }
    }

    /// An element is copied into its list or map, so it is paid for, in a loop or not.
    fn element(&mut self, element: &mut IdedExpr) -> Result<(), Refusal> {
        self.node(element)?;
        if self.variable.is_none() && !matches!(element.expr, Expr::Literal(_)) {
            wrap(element, CHARGE, &[BUDGET]);
        }
        Ok(())
    }

    fn place(&mut self, node: &IdedExpr, place: Place) -> Result<(), Refusal> {
        let variable = place.variable.as_str();
        if variable == RESULT || self.variable.as_deref() == Some(variable) {
            return Ok(());
        }
        if VARIABLES.contains(&variable) {
            self.needs.data |= variable == "data";
            if !self.needs.reads.contains(&place) {
                self.needs.reads.push(place);
            }
            return Ok(());
        }
        if TYPES.contains(&variable) && place.members.is_empty() {
            return Ok(());
        }
        Err(refuse(node, format!("there is no {variable:?}; expressions read event, data and origin")))
    }

    fn call(&mut self, node: &mut IdedExpr) -> Result<bool, Refusal> {
        let id = node.id;
        let Expr::Call(call) = &mut node.expr else { return Ok(false) };
        if call.func_name == "matches" {
            return self.matches(id, call).map(|()| false);
        }
        if let Some((_, function)) = ARITHMETIC.iter().find(|(operator, _)| *operator == call.func_name) {
            call.args.iter_mut().try_for_each(|arg| self.node(arg))?;
            // What gathers a result is the parser's own, and the crate knows it by its shape.
            if !matches!(call.args.first(), Some(IdedExpr { expr: Expr::Ident(name), .. }) if name == RESULT) {
                call.func_name = (*function).to_owned();
                call.args.push(name_of(id, BUDGET));
            }
            return Ok(false);
        }
        let is_operator = OPERATORS.contains(&call.func_name.as_str());
        if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
            return Err(Refusal { id, reason: format!("there is no function {:?}", call.func_name) });
        }
        let target = call.target.as_deref_mut();
        target.into_iter().chain(&mut call.args).try_for_each(|arg| self.node(arg))?;
        match call.func_name.as_str() {
            operators::IN => {
                if let Some(container) = call.args.last_mut() {
                    wrap(container, BOUNDED, &[]);
                }
                Ok(false)
            }
            operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => Ok(true),
            _ => Ok(!is_operator),
        }
    }

    /// The pattern is compiled now: a wrong one is found at once, and none is compiled for each event.
    fn matches(&mut self, id: u64, call: &mut CallExpr) -> Result<(), Refusal> {
        let mut args: Vec<IdedExpr> = call.target.take().map(|target| *target).into_iter().collect();
        args.append(&mut call.args);
        let [text, pattern] = args.as_mut_slice() else {
            return Err(Refusal { id, reason: "matches wants a text and a pattern".to_owned() });
        };
        self.node(text)?;
        let Expr::Literal(LiteralValue::String(source)) = &pattern.expr else {
            return Err(refuse(pattern, "the pattern of matches must be a literal text".to_owned()));
        };
        let compiled = RegexBuilder::new(source.inner()).size_limit(PATTERN_BYTES_MAX).nest_limit(32).build();
        let compiled = compiled.map_err(|error| refuse(pattern, format!("is no pattern: {}", last_line(&error))))?;
        let number = self.needs.patterns.len();
        self.needs.patterns.push(Pattern(compiled));
        args[1] = name_of(id, &format!("{PATTERN}{number}"));
        args.push(name_of(id, BUDGET));
        *call = CallExpr { func_name: MATCHES.to_owned(), target: None, args };
        Ok(())
    }
}

fn name_of(id: u64, name: &str) -> IdedExpr {
    IdedExpr { id, expr: Expr::Ident(name.to_owned()) }
}

fn wrap(node: &mut IdedExpr, function: &str, more: &[&str]) {
    let id = node.id;
    let inner = std::mem::take(node);
    let args = std::iter::once(inner).chain(more.iter().map(|name| name_of(id, name))).collect();
    *node = IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }) };
}

fn refuse(node: &IdedExpr, reason: String) -> Refusal {
    Refusal { id: node.id, reason }
}

fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
