//! Stands in for a function that waits for its first release: it rejects every event and says so. What came too early is among
//! the dead letters, and is put back once there is something to handle it.

use tidegate_sdk::{Event, Failure};

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let ty = event.ty;
    Err(Failure::reject(format!(
        "nothing was released to this function yet, so there is nothing to handle {ty}; redrive it after the first release"
    )))
}

tidegate_sdk::export!(handle);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_rejected_with_the_reason() {
        let failure = format!("{:?}", handle(Event::new("com.example.order.paid")).unwrap_err());
        assert!(failure.contains("nothing was released to this function yet"), "{failure}");
        assert!(failure.contains("com.example.order.paid"), "{failure}");
    }
}
