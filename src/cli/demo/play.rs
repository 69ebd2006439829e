//! The chapters. What does not come as it should ends the story, since what follows builds on it.

use aws_sdk_s3::primitives::ByteStream;

use super::failed;
use super::follow::{Wanted, event};
use super::githost::{Change, Status};
use super::sender::{self, commit};
use super::store::{self, BUCKET};
use super::story::{Halt, Story};
use super::world::World;
use crate::clock::Clock;

/// Checks that the admission rules ask for.
const CHECKS: [&str; 2] = ["build", "test"];
/// The commit status that the admission posts.
const ADMISSION: &str = "tidegate/admission";
/// Orders that are placed to see what a release does.
const ORDERS: usize = 40;
/// Before anything was released.
const FIRST_DEPLOYMENT: &str = "1";

/// Plays the whole story.
pub async fn play(story: &mut Story<'_>, world: &World) -> Result<(), Halt> {
    started(story).await?;
    refused(story, world).await?;
    blocked(story, world).await?;
    promoted(story, world).await?;
    rolled_back(story, world).await?;
    drifted(story).await?;
    late(story, world).await?;
    story.settle().await
}

async fn started(story: &mut Story<'_>) -> Result<(), Halt> {
    story.chapter("the project starts").await?;
    story.until("its file is deployed", event("deployment.activated")).await?;
    Ok(())
}

async fn refused(story: &mut Story<'_>, world: &World) -> Result<(), Halt> {
    let direct = commit("direct");
    let push = || sender::push(&direct, "2026-11-23T08:55:00Z");
    story.chapter("a push that nobody signed is turned away").await?;
    story.send("the push", push(), 401).await?;

    story.chapter("a signed push straight to main breaks the branch's protection: refused").await?;
    story.send("the push", push().signed(&world.secrets.github), 202).await?;
    story.until("the push is refused", event("tidegate-change.refused").with("commit", &direct)).await?;
    posted(story, world, &direct, "failure")?;

    story.chapter("a change that nobody reviewed may not be merged").await?;
    let change = Change { approved_by: None, checks: Vec::new(), ..change(1) };
    world.githost.put(change.clone());
    let opened = sender::opened(&change, "2026-11-23T08:57:00Z");
    story.send("the proposal", opened.signed(&world.secrets.github), 202).await?;
    story.until("the proposal is refused", event("tidegate-change.refused").with("commit", &change.head)).await?;
    // It may still come.
    posted(story, world, &change.head, "pending")
}

/// What the git host was told of a commit.
fn posted(story: &mut Story<'_>, world: &World, commit: &str, state: &str) -> Result<(), Halt> {
    let own = |status: &&Status| status.commit == commit && status.context == ADMISSION;
    let last = world.githost.with(|known| known.statuses.iter().rev().find(own).map(|status| status.state.clone()));
    let shown = last.as_deref().unwrap_or("nothing");
    let otherwise = (shown != state).then(|| format!("it shows {shown}"));
    story.expect(format!("the git host shows {state} for {ADMISSION}"), otherwise)
}

async fn blocked(story: &mut Story<'_>, world: &World) -> Result<(), Halt> {
    story.chapter("reviewed, checked and merged: the pipeline builds a component and pushes it").await?;
    let built = build(story, world, 1, "2026-11-23T09:00:00Z", &[]).await?;
    story.chapter("its image scan finds a critical flaw: blocked").await?;
    image_scan(story, world, &built, ("CVE-2026-1001", "CRITICAL")).await?;
    let named = event("gate.blocked").with("digest", &built.digest).with("input", "CVE-2026-1001");
    story.until("the gate names the flaw", named).await?;
    Ok(())
}

async fn promoted(story: &mut Story<'_>, world: &World) -> Result<(), Halt> {
    story.chapter("the flaw is mended by the next change").await?;
    let built = build(story, world, 2, "2026-11-23T10:00:00Z", &[]).await?;
    story
        .chapter("its scans find nothing that blocks, one of them through an object store: promoted to staging")
        .await?;
    scans(story, world, &built).await?;
    deployed(story, &built, "staging").await?;
    story.chapter("staging is used and does what it should: promoted to production").await?;
    verified(story, world, &built, "staging", Orders::InEuros).await?;
    deployed(story, &built, "production").await?;
    story.chapter("customers order from it: verified").await?;
    verified(story, world, &built, "production", Orders::Mixed).await
}

async fn rolled_back(story: &mut Story<'_>, world: &World) -> Result<(), Halt> {
    story.chapter("the next release has a fault that staging does not show").await?;
    let built = build(story, world, 3, "2026-11-23T11:00:00Z", &["--defect"]).await?;
    scans(story, world, &built).await?;
    deployed(story, &built, "staging").await?;
    verified(story, world, &built, "staging", Orders::InEuros).await?;
    deployed(story, &built, "production").await?;
    story.chapter("in production it fails a part of the orders: found, rolled back, in quarantine").await?;
    orders(story, world, &built, "production", Orders::Mixed).await?;
    let own = |name| event(name).with("digest", &built.digest);
    story.until("the release is found to fail", own("release.failed")).await?;
    story.until("its digest is in quarantine", own("digest.quarantined")).await?;
    story.until("an incident is opened", own("incident.detected")).await?;
    let back = event("service.rolledback").with("environment", "production");
    story.until("the release before is back", back).await?;
    Ok(())
}

async fn drifted(story: &mut Story<'_>) -> Result<(), Halt> {
    story.chapter("somebody changes what runs behind its back: found, and healed in production").await?;
    story.operate(&["deployments", FIRST_DEPLOYMENT, "rollback"]).await?;
    let production = |name| event(name).with("environment", "production");
    story.until("production is found to have drifted", production("drift.detected")).await?;
    story.until("production is healed", production("drift.resolved")).await?;
    // What should run in staging is in quarantine since: nothing brings that back by itself.
    let reported = event("drift.detected").with("environment", "staging").with("action", "report");
    story.until("staging is reported, and left to a person", reported).await?;
    Ok(())
}

async fn late(story: &mut Story<'_>, world: &World) -> Result<(), Halt> {
    story.chapter("the webhook of an older commit comes late: it overwrites nothing").await?;
    let built = build(story, world, 4, "2026-11-23T07:00:00Z", &[]).await?;
    scans(story, world, &built).await?;
    let older = event("release.refused").with("digest", &built.digest).with("rule", "older-commit");
    story.until("the older commit is refused", older).await?;
    Ok(())
}

/// A change that has all it needs, and is not merged.
fn change(number: u64) -> Change {
    Change {
        number,
        head: commit(&format!("head {number}")),
        approved_by: Some("grace".to_owned()),
        checks: CHECKS.map(str::to_owned).to_vec(),
        merged: None,
    }
}

/// What a pipeline made of a commit.
struct Built {
    commit: String,
    digest: String,
    artifact: String,
}

/// Merges a change; its pipeline builds release `number` and pushes it.
async fn build(story: &mut Story<'_>, world: &World, number: u64, at: &str, options: &[&str]) -> Result<Built, Halt> {
    let merge = commit(&format!("merge {number}"));
    world.githost.put_file(&merge, ".tidegate/pipeline.toml", world.pipeline(number, options));
    let change = Change { merged: Some((merge.clone(), at.to_owned())), ..change(number) };
    world.githost.put(change.clone());
    story.send("the merge", sender::merged(&change).signed(&world.secrets.github), 202).await?;
    let own = |name| event(name).with("commit", &merge);
    story.until("the merge is accepted", own("tidegate-change.accepted")).await?;
    story.until("the pipeline succeeds", own("pipelinerun.finished").with("outcome", "success")).await?;
    let packaged = story.until("its artifact is known", own("artifact.packaged")).await?;
    let text = |member| packaged.text(member).unwrap_or_default().to_owned();
    let built = Built { digest: text("digest"), artifact: text("artifact"), commit: merge };
    let own = |name| event(name).with("digest", &built.digest);
    story.until("the registry's notification is taken", own("artifact.identified")).await?;
    story.until("the gate says what is missing", own("gate.blocked").with("environment", "staging")).await?;
    Ok(built)
}

/// An image scanner's report with one finding: its id and severity.
async fn image_scan(story: &mut Story<'_>, world: &World, built: &Built, found: (&str, &str)) -> Result<(), Halt> {
    let now = Clock::system().now().to_string();
    let report = sender::image_report(&world.secrets.token, &built.artifact, &built.digest, &[found], &now);
    story.send("the image scan", report, 202).await
}

/// A static analysis, a scan of dependencies through the object store, and one of the image: nothing that blocks.
async fn scans(story: &mut Story<'_>, world: &World, built: &Built) -> Result<(), Halt> {
    let now = Clock::system().now().to_string();
    let report = sender::static_report(&world.secrets.token, &built.commit, &now);
    story.send("the static analysis", report, 202).await?;
    let (key, report) = (format!("scans/{}/trivy.json", built.commit), sender::dependency_report(&now));
    let size = report.len();
    let client = store::client(&world.store);
    let put = client.put_object().bucket(BUCKET).key(&key).body(ByteStream::from(report)).send().await;
    put.map_err(failed("cannot put a report into the object store"))?;
    let notification = sender::notification(&world.secrets.token, BUCKET, &key, size, &now);
    story.send("the object store tells of the scan of dependencies", notification, 202).await?;
    image_scan(story, world, built, ("CVE-2026-0009", "LOW")).await
}

async fn deployed(story: &mut Story<'_>, built: &Built, environment: &str) -> Result<(), Halt> {
    let own = |wanted: Wanted| wanted.with("digest", &built.digest).with("environment", environment);
    story.until(&format!("the gate of {environment} passes it"), own(event("gate.passed"))).await?;
    let deployed = own(event("service.deployed").or("service.upgraded"));
    story.until(&format!("it runs in {environment}"), deployed).await?;
    Ok(())
}

/// What customers pay with.
#[derive(Clone, Copy)]
enum Orders {
    InEuros,
    /// Every fifth in another currency.
    Mixed,
}

async fn orders(
    story: &mut Story<'_>,
    world: &World,
    built: &Built,
    environment: &str,
    orders: Orders,
) -> Result<(), Halt> {
    let currency = match orders {
        Orders::InEuros => |_| "EUR",
        Orders::Mixed => |number: usize| if number.is_multiple_of(5) { "JPY" } else { "EUR" },
    };
    let batch = &built.commit[..8];
    let orders = sender::orders(&world.secrets.token, environment, batch, (0..ORDERS).map(currency));
    story.send("the orders", orders, 202).await
}

/// Customers order, and what the release does then is good.
async fn verified(
    story: &mut Story<'_>,
    world: &World,
    built: &Built,
    environment: &str,
    placed: Orders,
) -> Result<(), Halt> {
    orders(story, world, built, environment, placed).await?;
    let good = event("release.verified").with("digest", &built.digest).with("environment", environment);
    story.until(&format!("what it did in {environment} is good"), good).await?;
    Ok(())
}
