//! What a filter says of an event, and what it could read.

use serde_json::Value;

use super::{Align, Colour, Look, Table, clean, facts, painted, plain};
use crate::api::model::{FilterReport, FilterVerdictView, TypeView};

/// Every clause with the value that it saw, then the verdict.
pub fn filter_report(report: &FilterReport, look: &Look) -> String {
    let mut table = Table::new([("CLAUSE", Align::Left), ("HOLDS", Align::Left), ("SAW", Align::Left)]);
    for clause in &report.clauses {
        let holds = match (clause.holds, &clause.error) {
            (Some(true), _) => painted(Colour::Good, "yes"),
            (Some(false), _) => painted(Colour::Bad, "no"),
            (None, Some(_)) => painted(Colour::Bad, "error"),
            (None, None) => painted(Colour::Faint, "-"),
        };
        table.row([plain(&clause.clause), holds, plain(clause.error.as_ref().unwrap_or(&clause.value))]);
    }
    let verdict = match &report.verdict {
        FilterVerdictView::Pass => look.good("pass"),
        FilterVerdictView::Filtered { clause, value } => {
            look.bad(&clean(&format!("filtered by {clause}, which saw {value}")))
        }
        FilterVerdictView::FilterFailed { clause, reason } => {
            look.bad(&clean(&format!("filter failed at {clause}: {reason}")))
        }
    };
    format!("{}{verdict}\n", table.render(look))
}

/// One line for each type.
pub fn event_types(types: &[TypeView], look: &Look) -> String {
    let mut table = Table::new([("NAME", Align::Left), ("TYPE", Align::Left), ("WHAT IT SAYS", Align::Left)]);
    for view in types {
        table.row([plain(&view.name), plain(&view.ty), plain(&view.about)]);
    }
    table.render(look)
}

/// A type with what a filter can read of it, and a sample that can be published as it is.
pub fn event_type(view: &TypeView, look: &Look) -> String {
    let paths: Vec<(&str, Option<String>)> =
        view.paths.iter().map(|(path, value)| (path.as_str(), Some(value.to_string()))).collect();
    let sample = serde_json::to_string_pretty(&view.sample).unwrap_or_else(|_| Value::to_string(&view.sample));
    format!(
        "{}  {}\n  {}\nwhat a filter can read, with the sample's values\n{}sample\n{sample}\n",
        look.strong(&view.name),
        view.ty,
        view.about,
        facts(look, &paths),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: 100, now: Timestamp::EPOCH };

    #[test]
    fn every_clause_shows_the_value_that_it_saw() {
        let report = json!({
            "verdict": {"kind": "filtered", "clause": "data.total > 10", "value": "3"},
            "clauses": [
                {"clause": "event.type == \"a\"", "value": "\"a\"", "holds": true},
                {"clause": "data.total > 10", "value": "3", "holds": false},
                {"clause": "data.x.y == 1", "value": "", "error": "no such key: x"},
                {"clause": "data.z", "value": ""},
            ],
        });
        expect![[r#"
            CLAUSE             HOLDS  SAW
            event.type == "a"  yes    "a"
            data.total > 10    no     3
            data.x.y == 1      error  no such key: x
            data.z             -
            filtered by data.total > 10, which saw 3
        "#]]
        .assert_eq(&filter_report(&serde_json::from_value(report).unwrap(), &LOOK));
    }

    #[test]
    fn a_type_is_shown_with_its_paths_and_a_sample() {
        let view = json!({
            "name": "shop.paid", "type": "com.example.shop.paid", "about": "an order was paid",
            "sample": {"id": "a", "data": {"total": 3}}, "paths": {"data.total": 3, "event.id": "a"},
        });
        expect![[r#"
            shop.paid  com.example.shop.paid
              an order was paid
            what a filter can read, with the sample's values
              data.total  3
              event.id    "a"
            sample
            {
              "data": {
                "total": 3
              },
              "id": "a"
            }
        "#]]
        .assert_eq(&event_type(&serde_json::from_value(view).unwrap(), &LOOK));
    }
}
