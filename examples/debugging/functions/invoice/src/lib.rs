//! Writes an invoice for each order. It has a fault, which `docs/debugging.md` finds.

use serde::{Deserialize, Serialize};
use tidegate_sdk::{Event, Failure, kv};

#[derive(Deserialize)]
struct Order {
    customer: String,
    lines: Vec<Line>,
    coupon: Option<Coupon>,
}

#[derive(Deserialize)]
struct Line {
    quantity: u64,
    cents: u64,
}

#[derive(Deserialize)]
struct Coupon {
    percent: u64,
}

#[derive(Serialize)]
struct Invoice {
    customer: String,
    number: u64,
    cents: u64,
}

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let order: Order = event.data()?;
    let number = kv::open("invoices")?.increment(&order.customer, 1)?;
    let cents = total(&order);
    println!("invoice {number} of {}: {cents} cents", order.customer);
    let invoice = Invoice { customer: order.customer, number, cents };
    Ok(vec![Event::new("com.example.invoice.written").subject(event.subject.unwrap_or_default()).json(&invoice)?])
}

/// What is to be paid, in cents.
fn total(order: &Order) -> u64 {
    let mut sum = 0;
    for line in &order.lines {
        sum += line.quantity * line.cents;
    }
    match &order.coupon {
        Some(coupon) => sum - discount(sum, coupon.percent),
        None => sum,
    }
}

/// So many percent of a sum.
fn discount(sum: u64, percent: u64) -> u64 {
    sum / (100 / percent)
}

tidegate_sdk::export!(handle);
