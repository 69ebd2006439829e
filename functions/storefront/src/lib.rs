//! The service of `tidegate demo`: an order that was placed, `com.example.order.placed*`, is confirmed, `com.example.order.confirmed`.
//!
//! A build stamps its release into `STAMP`. A release that was stamped as defective fails orders that are not in euros, as a
//! real one might: whoever looks at the traffic finds out.

use serde::Deserialize;
use serde_json::json;
use tidegate_sdk::{Event, Failure};

const CONFIRMED: &str = "com.example.order.confirmed";

/// Where a build writes its stamp over the bytes: the length stays.
#[used]
static STAMP: [u8; 32] = *b"storefront-release:000;sound....";
/// Where `STAMP` says whether the release is sound.
const SOUND: std::ops::Range<usize> = 23..28;

#[derive(Deserialize)]
struct Order {
    order: String,
    currency: String,
}

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let order: Order = event.data()?;
    if !is_sound() && order.currency != "EUR" {
        return Err(Failure::reject(format!("no price in {} for order {}", order.currency, order.order)));
    }
    Ok(vec![Event::new(CONFIRMED).subject(&order.order).json(&json!({ "order": order.order }))?])
}

/// Read as the bytes stand in the component, not as they were compiled.
fn is_sound() -> bool {
    std::hint::black_box(&STAMP)[SOUND] == *b"sound"
}

tidegate_sdk::export!(handle);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_confirmed_in_any_currency() {
        let order = Event::new("com.example.order.placed").json(&json!({ "order": "7", "currency": "JPY" })).unwrap();
        let confirmed = handle(order).unwrap();
        assert_eq!((confirmed[0].ty.as_str(), confirmed[0].subject.as_deref()), (CONFIRMED, Some("7")));
    }
}
