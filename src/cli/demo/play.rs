//! The chapters.

use aws_sdk_s3::primitives::ByteStream;

use super::super::CliError;
use super::follow::Seen;
use super::githost::{Change, Status};
use super::sender::{self, commit};
use super::store::{self, BUCKET};
use super::story::Story;
use super::world::World;
use crate::clock::Clock;

/// Checks that the admission rules ask for.
const CHECKS: [&str; 2] = ["build", "test"];
/// Orders that are placed to see what a release does.
const ORDERS: usize = 40;
/// Who stands behind the rollback that nobody asked for.
const FIRST_DEPLOYMENT: &str = "1";

/// Plays the whole story. What does not come as it should ends it: what follows builds on it.
pub async fn play(story: &mut Story<'_>, world: &World) -> Result<(), CliError> {
    refused_pushes(story, world).await?;
    if !story.is_as_it_should() {
        return Ok(());
    }
    let Some(first) = blocked(story, world).await? else { return Ok(()) };
    let Some(second) = promoted(story, world).await? else { return Ok(()) };
    if first.digest == second.digest || !rolled_back(story, world).await? {
        return Ok(());
    }
    drifted(story).await?;
    late(story, world).await
}

/// What a pipeline made of a commit.
struct Built {
    commit: String,
    digest: String,
    artifact: String,
}

async fn refused_pushes(story: &mut Story<'_>, world: &World) -> Result<(), CliError> {
    let direct = commit("direct");
    let push = || sender::push(&direct, "2026-11-23T08:55:00Z");
    story.chapter("a push that nobody signed is turned away")?;
    story.send(push(), 401).await?;

    story.chapter("a signed push straight to main breaks the branch's protection: refused")?;
    story.send(push().signed(&world.secrets.github), 202).await?;
    story
        .until("the push is refused", |seen| seen.name == "tidegate-change.refused" && seen.is("commit", &direct))
        .await?;
    posted(story, world, &direct, "failure");

    story.chapter("a change that nobody reviewed may not be merged")?;
    let change = Change { approved_by: None, checks: Vec::new(), ..change(1) };
    world.githost.put(change.clone());
    story.send(sender::opened(&change, "2026-11-23T08:57:00Z").signed(&world.secrets.github), 202).await?;
    let refused = |seen: &Seen| seen.name == "tidegate-change.refused" && seen.is("commit", &change.head);
    story.until("the proposal is refused", refused).await?;
    // It may still come.
    posted(story, world, &change.head, "pending");
    Ok(())
}

/// What the git host was told of a commit.
fn posted(story: &mut Story<'_>, world: &World, commit: &str, state: &str) {
    let statuses = world.githost.statuses();
    let own = |status: &&Status| status.commit == commit && status.context == "tidegate/admission";
    let last = statuses.iter().rev().find(own);
    let held = last.filter(|status| status.state == state).map(|_| ());
    story.expect(format!("the git host shows {state}"), held, || format!("it shows {last:?}"));
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

async fn blocked(story: &mut Story<'_>, world: &World) -> Result<Option<Built>, CliError> {
    story.chapter("reviewed, checked and merged: the pipeline builds a component and pushes it")?;
    let Some(built) = build(story, world, 1, "2026-11-23T09:00:00Z", &[]).await? else { return Ok(None) };
    story.chapter("its image scan finds a critical flaw: blocked")?;
    let found = [("CVE-2026-1001", "CRITICAL")];
    image_scan(story, world, &built, &found).await?;
    let rule = |seen: &Seen| {
        seen.name == "gate.blocked" && seen.is("digest", &built.digest) && seen.is("input", "CVE-2026-1001")
    };
    let blocked = story.until("the gate names the flaw", rule).await?;
    Ok(blocked.map(|_| built))
}

async fn promoted(story: &mut Story<'_>, world: &World) -> Result<Option<Built>, CliError> {
    story.chapter("the flaw is mended by the next change")?;
    let Some(built) = build(story, world, 2, "2026-11-23T10:00:00Z", &[]).await? else { return Ok(None) };
    story.chapter("its scans are clean, one of them with an object store's notification: promoted to staging")?;
    scans(story, world, &built).await?;
    if !deployed(story, &built, "staging").await? {
        return Ok(None);
    }
    story.chapter("staging is used and does what it should: promoted to production")?;
    orders(story, world, "staging", &built, false).await?;
    let verified = verified(story, &built, "staging").await?;
    if !verified || !deployed(story, &built, "production").await? {
        return Ok(None);
    }
    story.chapter("customers order from it: verified")?;
    orders(story, world, "production", &built, true).await?;
    Ok(self::verified(story, &built, "production").await?.then_some(built))
}

async fn rolled_back(story: &mut Story<'_>, world: &World) -> Result<bool, CliError> {
    story.chapter("the next release has a fault that staging does not show")?;
    let Some(built) = build(story, world, 3, "2026-11-23T11:00:00Z", &["--defect"]).await? else { return Ok(false) };
    scans(story, world, &built).await?;
    if !deployed(story, &built, "staging").await? {
        return Ok(false);
    }
    orders(story, world, "staging", &built, false).await?;
    if !verified(story, &built, "staging").await? || !deployed(story, &built, "production").await? {
        return Ok(false);
    }
    story.chapter("in production it fails a part of the orders: found, rolled back, in quarantine")?;
    orders(story, world, "production", &built, true).await?;
    let own = |name: &'static str| {
        let digest = built.digest.clone();
        move |seen: &Seen| seen.name == name && seen.is("digest", &digest)
    };
    story.until("the release is found to fail", own("release.failed")).await?;
    story.until("its digest is in quarantine", own("digest.quarantined")).await?;
    story.until("an incident is opened", |seen| seen.name == "incident.detected").await?;
    let back = |seen: &Seen| seen.name == "service.rolledback" && seen.is("environment", "production");
    Ok(story.until("the release before is back", back).await?.is_some())
}

async fn drifted(story: &mut Story<'_>) -> Result<(), CliError> {
    story.chapter("somebody changes what runs behind its back: found, and healed")?;
    story.operate(&["deployments", FIRST_DEPLOYMENT, "rollback"]).await?;
    let of = |name: &'static str, environment: &'static str| {
        move |seen: &Seen| seen.name == name && seen.is("environment", environment)
    };
    story.until("production is found to have drifted", of("drift.detected", "production")).await?;
    story.until("production is healed", of("drift.resolved", "production")).await?;
    // What should run in staging is in quarantine since: nothing brings that back by itself.
    let reported = |seen: &Seen| of("drift.detected", "staging")(seen) && seen.is("action", "report");
    story.until("staging is reported", reported).await?;
    Ok(())
}

async fn late(story: &mut Story<'_>, world: &World) -> Result<(), CliError> {
    story.chapter("the webhook of an older commit comes late: it overwrites nothing")?;
    let Some(built) = build(story, world, 4, "2026-11-23T07:00:00Z", &[]).await? else { return Ok(()) };
    scans(story, world, &built).await?;
    let refused = |seen: &Seen| {
        seen.name == "release.refused" && seen.is("digest", &built.digest) && seen.is("rule", "older-commit")
    };
    story.until("the older commit is refused", refused).await?;
    Ok(())
}

/// Merges a change; its pipeline builds release `number` and pushes it.
async fn build(
    story: &mut Story<'_>,
    world: &World,
    number: u64,
    at: &str,
    options: &[&str],
) -> Result<Option<Built>, CliError> {
    let merge = commit(&format!("merge {number}"));
    world.githost.put_file(&merge, ".tidegate/pipeline.toml", world.pipeline(number, options));
    let change = Change { merged: Some((merge.clone(), at.to_owned())), ..change(number) };
    world.githost.put(change.clone());
    story.send(sender::merged(&change).signed(&world.secrets.github), 202).await?;
    let own = |name: &'static str| {
        let merge = merge.clone();
        move |seen: &Seen| seen.name == name && seen.is("commit", &merge)
    };
    story.until("the merge is accepted", own("tidegate-change.accepted")).await?;
    let run = story.until("the pipeline runs", own("pipelinerun.finished")).await?;
    if !run.is_some_and(|run| run.is("outcome", "success")) {
        story.expect("the pipeline succeeds".to_owned(), None, || "it did not".to_owned());
        return Ok(None);
    }
    let Some(packaged) = story.until("its artifact is known", own("artifact.packaged")).await? else { return Ok(None) };
    let (Some(digest), Some(artifact)) = (packaged.text("digest"), packaged.text("artifact")) else { return Ok(None) };
    let built = Built { commit: merge, digest: digest.to_owned(), artifact: artifact.to_owned() };
    let identified = |seen: &Seen| seen.name == "artifact.identified" && seen.is("digest", &built.digest);
    story.until("the registry's notification is taken", identified).await?;
    let missing = |seen: &Seen| {
        seen.name == "gate.blocked" && seen.is("digest", &built.digest) && seen.is("environment", "staging")
    };
    let blocked = story.until("the gate says what is missing", missing).await?;
    Ok(blocked.map(|_| built))
}

async fn image_scan(
    story: &mut Story<'_>,
    world: &World,
    built: &Built,
    found: &[(&str, &str)],
) -> Result<(), CliError> {
    let now = Clock::system().now().to_string();
    let report = sender::image_report(&world.secrets.token, &built.artifact, &built.digest, found, &now);
    story.send(report, 202).await?;
    Ok(())
}

/// A static analysis, a scan of dependencies through the object store, and one of the image: all clean.
async fn scans(story: &mut Story<'_>, world: &World, built: &Built) -> Result<(), CliError> {
    let now = Clock::system().now().to_string();
    story.send(sender::static_report(&world.secrets.token, &built.commit, &now), 202).await?;
    let (key, report) = (format!("scans/{}/trivy.json", built.commit), sender::dependency_report(&now));
    let size = report.len();
    let client = store::client(&world.store);
    let put = client.put_object().bucket(BUCKET).key(&key).body(ByteStream::from(report)).send().await;
    put.map_err(super::failed("cannot put a report into the object store"))?;
    story.send(sender::notification(&world.secrets.token, BUCKET, &key, size, &now), 202).await?;
    image_scan(story, world, built, &[("CVE-2026-0009", "LOW")]).await
}

async fn deployed(story: &mut Story<'_>, built: &Built, environment: &str) -> Result<bool, CliError> {
    let is = |names: &'static [&'static str]| {
        let (digest, environment) = (built.digest.clone(), environment.to_owned());
        move |seen: &Seen| {
            names.contains(&seen.name.as_str()) && seen.is("digest", &digest) && seen.is("environment", &environment)
        }
    };
    story.until(&format!("the gate of {environment} passes it"), is(&["gate.passed"])).await?;
    let deployed = is(&["service.deployed", "service.upgraded"]);
    Ok(story.until(&format!("it runs in {environment}"), deployed).await?.is_some())
}

async fn orders(
    story: &mut Story<'_>,
    world: &World,
    environment: &str,
    built: &Built,
    mixed: bool,
) -> Result<(), CliError> {
    let batch = &built.commit[..8];
    story.send(sender::orders(&world.secrets.token, environment, batch, ORDERS, mixed), 202).await?;
    Ok(())
}

async fn verified(story: &mut Story<'_>, built: &Built, environment: &str) -> Result<bool, CliError> {
    let is = |seen: &Seen| {
        seen.name == "release.verified" && seen.is("digest", &built.digest) && seen.is("environment", environment)
    };
    Ok(story.until(&format!("what it did in {environment} is good"), is).await?.is_some())
}
