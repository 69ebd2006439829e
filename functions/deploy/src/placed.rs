//! A release was placed.

use delivery::record::{Asked, Stage};
use delivery::{Placed, Purpose};
use tidegate_sdk::{Event, Failure, info};

use crate::books::Books;
use crate::place::Place;
use crate::rules::planned;

pub fn answer(event: &Event, placed: &Placed, books: &Books) -> Result<Vec<Event>, Failure> {
    let release = &placed.release;
    let mut place = Place::open(books, event, &release.service, &placed.environment)?;
    if place.has(&release.release) {
        info!("{} runs, is asked for or waits in {} already", release.release, place.key());
        return Ok(Vec::new());
    }
    match planned(&books.plan, placed) {
        Ok(target) => {
            place.step(release, Stage::Placed, |progress| {
                progress.target = Some(target);
                progress.gate = Some(placed.gate.clone());
            })?;
            place.admit(Asked { release: release.clone(), purpose: Purpose::Promotion, event: event.id.clone() })?;
        }
        Err(verdict) => place.refuse(release, verdict)?,
    }
    place.close()
}
