//! `[[trigger.*]]`: what makes events out of the world.

use std::collections::BTreeSet;
use std::time::Duration;

use super::json;
use super::read::{Item, Table};
use super::settings::{object_store, period, server, unique};
use crate::deployment::catalogue::{Author, event_type, full_type};
use crate::deployment::{
    BucketTrigger, MissedTicks, Proof, QueueKind, QueueTrigger, ReportFormat, Schedule, ScheduleTrigger, Secret,
    Sender, Trigger, WebhookTrigger, time_zone,
};

const POLL_DEFAULT: Duration = Duration::from_secs(15);
const POLL_MIN: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn triggers(table: &mut Table<'_>) -> Vec<Trigger> {
    let read = |table: &mut Table<'_>| {
        let mut paths = BTreeSet::new();
        let mut triggers = Vec::new();
        let mut all = |kind: &'static str, read: &mut dyn FnMut(&mut Table<'_>) -> Option<Trigger>| {
            let Some(items) = table.take(kind) else { return };
            items.list(|item| {
                let trigger = item.table(&mut *read).flatten()?;
                if triggers.contains(&trigger) {
                    item.error("is the same as one before; leave one out");
                }
                triggers.push(trigger);
                Some(())
            });
        };
        all("webhook", &mut |table| webhook(table, &mut paths));
        all("schedule", &mut schedule);
        all("bucket", &mut bucket);
        all("queue", &mut queue);
        triggers
    };
    table.maybe("trigger", |item| item.table(read)).unwrap_or_default()
}

fn webhook(table: &mut Table<'_>, paths: &mut BTreeSet<String>) -> Option<Trigger> {
    let path = table.need("path", |item| item.checked(path).and_then(|path| unique(paths, &item, path)));
    let sender = table.need("sender", |item| item.choice(&Sender::ALL.map(|sender| (sender.name(), sender))));
    let secret = table.take("secret");
    let token = table.take("token");
    let unsigned = table.maybe("unsigned", |item| item.boolean()).unwrap_or(false);
    let sender = sender?;
    let proof = match (secret, token, unsigned, signs(sender)) {
        (Some(item), None, false, true) => secrets(&item).map(Proof::Secret),
        (Some(item), _, _, false) => {
            item.error("this sender cannot sign; give `token`, which it sends as `Authorization: Bearer`");
            None
        }
        (None, Some(item), false, false) => secrets(&item).map(Proof::Token),
        (None, None, true, false) => Some(Proof::Unsigned),
        (None, None, false, true) => {
            table.error("has no `secret`; the sender signs with it, so anyone could send without");
            None
        }
        (None, None, false, false) => {
            table.error("has no `token`; give one, or write unsigned = true to leave its events unverified for ever");
            None
        }
        (_, _, _, true) => {
            table.error("proves itself by `secret` alone; leave out `token` and `unsigned`");
            None
        }
        (None, Some(_), true, false) => {
            table.error("has a `token` and unsigned = true; leave one out");
            None
        }
    };
    Some(Trigger::Webhook(WebhookTrigger { path: path?, sender, proof: proof? }))
}

fn signs(sender: Sender) -> bool {
    match sender {
        Sender::Github => true,
        Sender::S3 | Sender::Cloudevents | Sender::Distribution | Sender::Trivy | Sender::Sarif | Sender::Report => {
            false
        }
    }
}

/// One secret, or two during a rotation.
fn secrets(item: &Item<'_>) -> Option<Vec<Secret>> {
    if !item.is_array() {
        return item.secret().map(|secret| vec![secret]);
    }
    let mut count = 0;
    let secrets = item.list(|item| {
        count += 1;
        item.secret()
    })?;
    if !(1..=2).contains(&count) {
        item.error("write one, or two during a rotation");
        return None;
    }
    Some(secrets)
}

fn path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let segments = text
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|segment| !segment.is_empty() && segment != "." && segment != ".."));
    if !segments || !text.chars().all(plain) {
        return Err(format!("{text:?} is no path; write one like /hooks/github, of letters, digits and -._~"));
    }
    Ok(text.to_owned())
}

fn schedule(table: &mut Table<'_>) -> Option<Trigger> {
    let zone = |item: Item<'_>| item.checked(|name| time_zone(name).map_err(|error| error.to_string()));
    let zone = table.maybe("timezone", zone).unwrap_or(chrono_tz::UTC);
    let schedule = |item: Item<'_>| item.checked(|cron| Schedule::new(cron, zone).map_err(|error| error.to_string()));
    let schedule = table.need("cron", schedule);
    let choices = [("one", MissedTicks::One), ("all", MissedTicks::All), ("none", MissedTicks::None)];
    let missed = table.maybe("missed", |item| item.choice(&choices)).unwrap_or_default();
    let emit = |table: &mut Table<'_>| {
        let ty = table.need("type", |item| item.checked(emitted));
        let subject = table.maybe("subject", |item| item.filled()).map(str::to_owned);
        let data = table.maybe("data", |item| json::text(&item));
        Some((ty?, subject, data))
    };
    let (ty, subject, data) = table.need("emit", |item| item.table(emit).flatten())?;
    Some(Trigger::Schedule(ScheduleTrigger { schedule: schedule?, missed, ty, subject, data }))
}

/// A type that a trigger may make: not one that is decided by functions, or said by Tidegate itself.
fn emitted(text: &str) -> Result<String, String> {
    let ty = full_type(text)?;
    match event_type(&ty).map(|entry| entry.author) {
        None | Some(Author::Trigger | Author::Granted) => Ok(ty),
        Some(Author::Function) => Err(format!("{text:?} is a decision, which only a function may emit")),
        Some(Author::Runtime) => Err(format!("{text:?} is said by tidegate itself alone")),
    }
}

fn bucket(table: &mut Table<'_>) -> Option<Trigger> {
    let store = object_store(table);
    let poll = table.maybe("poll", |item| period(&item, POLL_MIN, POLL_MAX)).unwrap_or(POLL_DEFAULT);
    let formats = [("report", ReportFormat::Any), ("trivy", ReportFormat::Trivy), ("sarif", ReportFormat::Sarif)];
    let read = table.maybe("read", |item| item.choice(&formats));
    Some(Trigger::Bucket(BucketTrigger { store: store?, poll, read }))
}

fn queue(table: &mut Table<'_>) -> Option<Trigger> {
    let kind = table.need("kind", |item| item.choice(&[("nats", QueueKind::Nats)]));
    let url = table.need("url", |item| server(&item));
    let stream = table.need("stream", |item| item.filled()).map(str::to_owned);
    let subject = table.need("subject", |item| item.filled()).map(str::to_owned);
    let ty = table.need("type", |item| item.checked(emitted));
    Some(Trigger::Queue(QueueTrigger { kind: kind?, url: url?, stream: stream?, subject: subject?, ty: ty? }))
}
