//! Emits each event again under the type that config `to` names, with the same subject and data.
//!
//! It gives events of one name to functions that listen for another: a sender's type becomes one of the catalogue, or a
//! type that is going away lives on under its successor. What is to be relayed is chosen by the function's `on`, `match`
//! and `when`; a type that the function was not granted fails like any other.
//!
//! - `to` is the full name of one type, like `com.example.order.paid`.
//! - Data is passed on as it is, byte for byte, with its content type and schema. The sender's extension attributes are
//!   not, but for the partition key, which every emitted event inherits.

use tidegate_sdk::{Event, Failure, config};

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let ty = config::text("to")?.ok_or_else(|| config::Error::Missing { key: "to".to_owned() })?;
    let Event { subject, datacontenttype, dataschema, data, .. } = event;
    Ok(vec![Event { ty, subject, datacontenttype, dataschema, data, ..Event::default() }])
}

tidegate_sdk::export!(handle);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_sdk::testing::Host;

    use super::*;

    fn order() -> Event {
        let event = Event::new("com.example.order.paid").subject("order/7").json(&json!({ "cents": 1250 })).unwrap();
        Event { id: "1".to_owned(), source: "shop".to_owned(), ..event }.extension("tenant", "acme".to_owned())
    }

    #[test]
    fn an_event_goes_on_under_the_configured_type_with_its_subject_and_data() {
        let _host = Host::new().config("to", "com.example.sale");
        let emitted = handle(order()).unwrap();
        let expected = Event::new("com.example.sale").subject("order/7").json(&json!({ "cents": 1250 })).unwrap();
        assert_eq!(emitted, [expected]);
    }

    #[test]
    fn data_that_is_no_json_stays_as_it_is() {
        let _host = Host::new().config("to", "com.example.scan");
        let event = Event::new("com.example.file").bytes("application/octet-stream", [0, 255]);
        let emitted = handle(event.clone()).unwrap();
        assert_eq!(emitted, [Event { ty: "com.example.scan".to_owned(), ..event }]);
    }

    #[test]
    fn an_event_without_data_is_relayed_without() {
        let _host = Host::new().config("to", "com.example.tick");
        assert_eq!(handle(Event::new("com.example.beat")).unwrap(), [Event::new("com.example.tick")]);
    }

    #[test]
    fn without_a_type_to_relay_to_it_says_which_key_is_missing() {
        let _host = Host::new();
        let failure = handle(order()).unwrap_err();
        assert_eq!(failure.reason(), "config to is missing; set it in the function's config");
    }
}
