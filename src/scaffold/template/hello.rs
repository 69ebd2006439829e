//! Counts how often each name was greeted.

use serde::{Deserialize, Serialize};
use tidegate_sdk::{Event, Failure, kv};

#[derive(Deserialize)]
struct Greeting {
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counted {
    name: String,
    count: u64,
}

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let Greeting { name } = event.data()?;
    if name.is_empty() {
        return Err(Failure::reject("the greeting names nobody"));
    }
    let count = kv::open("counts")?.increment(&name, 1)?;
    println!("{name} was greeted {count} times");
    let counted = Event::new("com.example.greeting.counted").subject(&name).json(&Counted { name, count })?;
    Ok(vec![counted])
}

tidegate_sdk::export!(handle);

#[cfg(test)]
mod tests {
    use tidegate_sdk::testing::{self, Host};

    use super::*;

    #[test]
    fn each_greeting_of_a_name_is_counted() {
        let host = Host::new().key_space("counts");
        let greeting = testing::event(include_str!("../../../sample-event.json"));
        handle(greeting.clone()).unwrap();
        let emitted = handle(greeting).unwrap();
        assert_eq!(emitted[0].data::<Counted>().unwrap(), Counted { name: "ana".into(), count: 2 });
        assert_eq!(host.get_json::<u64>("counts", "ana"), Some(2));
    }
}
