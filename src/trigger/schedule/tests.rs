use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::Clock;
use crate::deployment::{MissedTicks, Schedule};
use crate::trigger::testing::{Door, stop};

fn utc(cron: &str) -> Schedule {
    Schedule::new(cron, chrono_tz::UTC).unwrap()
}

fn trigger(cron: &str, missed: MissedTicks) -> ScheduleTrigger {
    ScheduleTrigger {
        schedule: utc(cron),
        missed,
        ty: "com.example.tick".to_owned(),
        subject: Some("shop".to_owned()),
        data: Some(r#"{"a":1}"#.to_owned()),
    }
}

/// A clock that shows one time after the other, and stays at the last.
fn clock(times: &[&str]) -> Clock {
    let times: Vec<Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
    let asked = AtomicUsize::new(0);
    Clock::given(move || times[asked.fetch_add(1, Ordering::Relaxed).min(times.len() - 1)])
}

async fn planned(door: &Door, count: usize) -> Vec<String> {
    door.events(count).await.into_iter().map(|accepted| accepted.event.time.unwrap()[11..19].to_owned()).collect()
}

#[tokio::test]
async fn a_new_schedule_starts_now_and_ticks_at_its_planned_instants() {
    let door = Door::open(Clock::system());
    let times = [
        "2026-11-23T09:59:59.999Z",
        "2026-11-23T09:59:59.999Z",
        "2026-11-23T09:59:59.999Z",
        "2026-11-23T10:00:00.003Z",
    ];
    let intake = Intake { clock: clock(&times), ..door.intake.clone() };
    let run = tokio::spawn(run(trigger("0 * * * *", MissedTicks::All), intake, door.history.clone()));
    let tick = door.events(1).await.remove(0);
    stop(&door.intake, run).await;
    assert_eq!(tick.event.time.as_deref(), Some("2026-11-23T10:00:00.000000Z"));
    assert_eq!(
        (tick.event.ty.as_str(), tick.event.source.as_str()),
        ("com.example.tick", "/triggers/schedule/com.example.tick")
    );
    assert_eq!((tick.event.subject.as_deref(), tick.event.data.as_deref()), (Some("shop"), Some(&br#"{"a":1}"#[..])));
    assert!(tick.origin.verified);
}

#[tokio::test]
async fn the_log_tells_what_was_missed_and_no_tick_comes_twice() {
    let check = async |missed: MissedTicks, expected: &[&str]| {
        let door = Door::open(Clock::system());
        let trigger = trigger("0 * * * *", missed);
        let first: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
        door.intake.publish("schedule", vec![tick(&trigger, first)]).await.unwrap();
        for _ in 0..2 {
            let intake = Intake { clock: clock(&["2026-11-23T10:20:00Z"]), ..door.restarted() };
            let run = tokio::spawn(run(trigger.clone(), intake.clone(), door.history.clone()));
            assert_eq!(planned(&door, expected.len()).await, expected, "{missed:?}");
            stop(&intake, run).await;
        }
    };
    check(MissedTicks::All, &["07:00:00", "08:00:00", "09:00:00", "10:00:00"]).await;
    check(MissedTicks::One, &["07:00:00", "10:00:00"]).await;
    check(MissedTicks::None, &["07:00:00"]).await;
}

#[tokio::test]
async fn events_of_the_type_that_others_made_are_no_ticks() {
    let door = Door::open(Clock::system());
    let schedule = trigger("0 * * * *", MissedTicks::All);
    let planned: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
    let forged = Event { id: "1".to_owned(), ..tick(&schedule, planned) };
    door.intake.publish("api", vec![forged]).await.unwrap();
    assert_eq!(last_tick(&schedule, door.history.as_ref()).await.unwrap(), None);
    let changed = ScheduleTrigger { schedule: utc("0 0 * * *"), ..schedule.clone() };
    door.intake.publish("schedule", vec![tick(&schedule, planned)]).await.unwrap();
    assert_eq!(last_tick(&schedule, door.history.as_ref()).await.unwrap(), Some(planned));
    assert_eq!(last_tick(&changed, door.history.as_ref()).await.unwrap(), None);
}
