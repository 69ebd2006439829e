//! A guest for tests, to be debugged: it adds up the prices in the data of its event, and leaves out the last.
//!
//! Tests name its lines by the comments at their ends.

#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../../wit", world: "function", generate_all });

use wasi::keyvalue::store;

struct Invoice;

export!(Invoice);

/// What a customer owes.
struct Owed {
    customer: String,
    prices: Vec<u32>,
    discount: Option<u32>,
    paid: bool,
}

impl Guest for Invoice {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        let owed = read(&event);
        if event.type_ == "test.forever" {
            wait();
        }
        let counts = store::open("counts").map_err(|error| Failure::Reject(error.to_string()))?;
        let before = counts.get("invoices"); // first effect
        let number = before.ok().flatten().map_or(1, |number| number[0] + 1);
        let cents = total(&owed); // the call
        counts.set("invoices", &[number]).map_err(|error| Failure::Reject(error.to_string()))?; // second effect
        if event.type_ == "test.overdraw" {
            let last = owed.prices[owed.prices.len() + number as usize]; // the trap
            return Err(Failure::Reject(format!("the last price is {last}")));
        }
        Ok(vec![done(format!("{} owes {cents}", owed.customer))])
    }
}

/// `ana 3 4 5` to a customer and prices.
fn read(event: &Event) -> Owed {
    let data = event.data.as_deref().unwrap_or_default();
    let mut words = std::str::from_utf8(data).unwrap_or_default().split(' ');
    let customer = words.next().unwrap_or_default().to_owned();
    let prices: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
    let discount = prices.first().copied().filter(|first| *first > 100);
    Owed { customer, prices, discount, paid: false }
}

fn wait() {
    let mut turns: u64 = 0;
    loop {
        turns = turns.wrapping_add(1);
    }
}

fn total(owed: &Owed) -> i64 {
    let name = owed.customer.as_str();
    let mut sum: i64 = -1;
    let mut index = 0;
    while index + 1 < owed.prices.len() {
        let price = owed.prices[index]; // the loop
        sum += i64::from(price);
        index += 1; // the wrong step
    }
    let due = !owed.paid;
    if due && !name.is_empty() { sum - i64::from(owed.discount.unwrap_or(0)) } else { 0 } // the sum
}

fn done(text: String) -> Event {
    Event {
        id: String::new(),
        source: String::new(),
        specversion: "1.0".to_owned(),
        type_: "test.done".to_owned(),
        subject: None,
        time: None,
        datacontenttype: Some("text/plain".to_owned()),
        dataschema: None,
        extensions: Vec::new(),
        data: Some(text.into_bytes()),
        origin: None,
    }
}
