//! A guest for tests, made with the SDK: it counts how events ended with another function.
//!
//! What it asks is the data of its event; what it was answered is that of the event that it emits.

use serde::Deserialize;
use serde_json::json;
use tidegate_sdk::{Event, Failure, statistics};

#[derive(Deserialize)]
struct Asked {
    function: String,
    component: String,
    from: u64,
    to: Option<u64>,
}

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let Asked { function, component, from, to } = event.data()?;
    let counted = statistics::read(&function, &component, from, to)?;
    let (failed, median_millis, position) = (counted.failed(), counted.quantile(0.5), counted.position);
    let told = json!({
        "outcomes": counted.outcomes, "failed": failed, "median_millis": median_millis, "position": position,
    });
    Ok(vec![Event::new("test.done").json(&told)?])
}

tidegate_sdk::export!(handle);
