//! Whatever holds a release back, `tidegate why` names it: each cause is really brought about, through the doors that the world
//! has, on the example of the path.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tidegate::cli::demo::githost::Change;
use tidegate::cli::demo::sender::{self, Request, base, commit};
use tidegate::clock::{Clock, Timestamp};
use tidegate::deployment::event_type;

use crate::http;
use crate::registry::{Repository, digest};
use crate::support::text;
use crate::world::{Built, EUROS, MIXED, PRODUCTION, STAGING, Stage, Surroundings, made, now, shell};

const ADMISSION: &str = include_str!("../../examples/path/repository/admission.toml");
const PUSHED: &str = "2026-11-23T08:55:00Z";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What must be said of a thing.
#[derive(Debug)]
struct Cause {
    of: String,
    environment: &'static str,
    state: &'static str,
    rule: &'static str,
    /// What reason and clear contain.
    reason: Vec<String>,
    clear: Vec<String>,
    function: Option<&'static str>,
    /// What the input contains.
    input: Option<String>,
    /// The type of the event that brought what decided.
    evidence: Option<&'static str>,
    /// The type of the event that says so.
    event: &'static str,
    missing: &'static [&'static str],
    /// The environment where it is so, if that is another one.
    place: Option<&'static str>,
}

/// A thing that stands in staging as `state`, for `rule`, as an event of a type says.
fn stands(of: &str, state: &'static str, rule: &'static str, event: &'static str) -> Cause {
    Cause {
        of: of.to_owned(),
        environment: STAGING,
        state,
        rule,
        reason: Vec::new(),
        clear: Vec::new(),
        function: None,
        input: None,
        evidence: None,
        event,
        missing: &[],
        place: None,
    }
}

impl Cause {
    fn says(mut self, text: impl Into<String>) -> Self {
        self.reason.push(text.into());
        self
    }

    fn clear(mut self, text: impl Into<String>) -> Self {
        self.clear.push(text.into());
        self
    }

    fn by(self, function: &'static str) -> Self {
        Cause { function: Some(function), ..self }
    }

    fn saw(self, input: impl Into<String>) -> Self {
        Cause { input: Some(input.into()), ..self }
    }

    fn of(self, evidence: &'static str) -> Self {
        Cause { evidence: Some(evidence), ..self }
    }

    fn lacks(self, missing: &'static [&'static str]) -> Self {
        Cause { missing, ..self }
    }

    fn in_production(self) -> Self {
        Cause { environment: PRODUCTION, ..self }
    }

    fn because_of(self, place: &'static str) -> Self {
        Cause { place: Some(place), ..self }
    }

    /// As data.
    #[track_caller]
    fn check(&self, stage: &Stage<'_>) -> Value {
        assert!(!self.clear.is_empty() && !self.reason.is_empty(), "{}: name what is to be read", self.rule);
        let mut why = stage.agrees(&self.of, self.environment, |why| self.is_told(why));
        let cause = self.root(&mut why["cause"]).take();
        let since: Timestamp = cause["since"].as_str().and_then(|since| since.parse().ok()).expect("since when");
        assert!(since <= Clock::system().now() && since >= of_event(stage, &cause), "{cause:#}");
        cause
    }

    /// What is the matter: where that is in another environment, the one that was asked for waits for it.
    fn root<'a>(&self, cause: &'a mut Value) -> &'a mut Value {
        if self.place.is_some() { &mut cause["because"] } else { cause }
    }

    /// Whether an answer says all that it must; what is wrong otherwise.
    fn is_told(&self, why: &Value) -> Result<(), String> {
        let lead = &why["cause"];
        let leads =
            |place| lead["rule"] == "missing-evidence" && lead["missing"] == json!([format!("verified:{place}")]);
        if self.place.is_some_and(|place| !leads(place)) {
            return Err(format!("the rule of {} does not lead", self.environment));
        }
        let cause = self.root(&mut why["cause"].clone()).clone();
        let text = |member: &str| cause[member].as_str();
        let has = |member: &str, part: &String| text(member).is_some_and(|said| said.contains(part));
        let missing: Vec<&str> = cause["missing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let checks = [
            ("state", why["state"] == self.state),
            ("rule", text("rule") == Some(self.rule)),
            ("reason", self.reason.iter().all(|part| has("reason", part))),
            ("clear", self.clear.iter().all(|part| has("clear", part))),
            ("function", text("function") == self.function),
            ("input", self.input.as_ref().map_or(text("input").is_none(), |part| has("input", part))),
            ("evidence", name_of(&cause["evidence"]) == self.evidence),
            ("event", name_of(&cause["event"]) == Some(self.event)),
            ("environment", text("environment") == self.place),
            ("missing", missing == self.missing),
            ("again", self.rule != "verifying" || text("again").is_some()),
        ];
        match checks.iter().find(|(_, holds)| !holds) {
            Some((member, _)) => Err(format!("{member} is not that of {self:?}")),
            None => Ok(()),
        }
    }

    /// On the screen, which breaks lines, but no command that is to be copied.
    #[track_caller]
    fn check_screen(&self, stage: &Stage<'_>, cause: &Value) {
        let screen = stage.screen(&self.of, self.environment);
        let unbroken = |text: &str| text.split_whitespace().collect::<String>();
        for member in ["rule", "reason", "clear"] {
            let said = cause[member].as_str().unwrap_or_default();
            assert!(unbroken(&screen).contains(&unbroken(said)), "{member} is not on the screen: {said}\n{screen}");
        }
        for command in commands(&cause["clear"]) {
            assert!(screen.lines().any(|line| line.contains(&command)), "{command} is broken:\n{screen}");
        }
    }
}

/// The short name of the type of an event that an answer refers to.
fn name_of(event: &Value) -> Option<&str> {
    let ty = event["type"].as_str()?;
    Some(event_type(ty).map_or(ty, |entry| entry.name))
}

/// When the event that says so was accepted: it cannot be so before.
#[track_caller]
fn of_event(stage: &Stage<'_>, cause: &Value) -> Timestamp {
    // A release that runs and is not verified is in that state since it runs, not since somebody looked.
    if cause["rule"] == "verifying" {
        return Timestamp::EPOCH;
    }
    let event = http::json(&stage.server.api, &format!("/events/{}", cause["event"]["id"].as_str().expect("an event")));
    event["acceptedat"].as_str().and_then(|at| at.parse().ok()).expect("an event was accepted at some time")
}

/// What stands in backquotes.
fn commands(clear: &Value) -> Vec<String> {
    clear.as_str().unwrap_or_default().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Does what the way to clear says, as an operator who copies it.
#[track_caller]
fn follow(stage: &Stage<'_>, cause: &Value) {
    for command in commands(&cause["clear"]) {
        stage.server.output(&command.split(' ').skip(1).collect::<Vec<_>>());
    }
}

/// Checks each as it is brought about, and all together in the end, when whatever could still change has changed.
struct Causes<'a> {
    stage: &'a Stage<'a>,
    lasting: Vec<Cause>,
    count: usize,
}

impl Causes<'_> {
    #[track_caller]
    fn lasts(&mut self, cause: Cause) {
        self.passes(&cause);
        self.lasting.push(cause);
    }

    #[track_caller]
    fn passes(&mut self, cause: &Cause) {
        let said = cause.check(self.stage);
        cause.check_screen(self.stage, &said);
        self.count += 1;
    }
}

#[test]
fn whatever_holds_a_release_back_is_named_on_one_screen() {
    let around = Surroundings::new();
    around.change("verify.toml", |text| text.replace("looks_max = 30", "looks_max = 6"));
    around.change("gate-staging.toml", |text| {
        format!(
            "{text}\n[[exception]]\nid = \"CVE-2019-3001\"\nowner = \"payments\"\nreason = \"not linked\"\n\
             expires = \"2020-01-31\"\n"
        )
    });
    let stage = around.up();
    let mut causes = Causes { stage: &stage, lasting: Vec::new(), count: 0 };
    admission(&mut causes);
    git_host(&mut causes);
    pipelines(&mut causes);
    scans(&mut causes);
    gates(&mut causes);
    deployments(&mut causes);
    runtime(&mut causes);
    nothing(&stage);
    for cause in &causes.lasting {
        cause.check(&stage);
    }
    assert!(causes.count >= 20, "{} causes", causes.count);
}

/// A push of a commit of its own.
#[track_caller]
fn push(stage: &Stage<'_>, change: impl FnOnce(&mut Value)) -> String {
    let pushed = commit(&format!("pushed {}", stage.next()));
    stage.github(edited(sender::push(&pushed, PUSHED), change));
    pushed
}

fn edited(mut request: Request, change: impl FnOnce(&mut Value)) -> Request {
    let mut payload: Value = serde_json::from_slice(&request.body).expect("a payload is JSON");
    change(&mut payload);
    request.body = payload.to_string().into_bytes();
    request
}

/// What comes to a branch, or is to.
fn admission(causes: &mut Causes<'_>) {
    pushes(causes);
    reviews(causes);
    checks(causes);
    admission_itself(causes);
}

/// A refusal of `commit`, of what comes to the main branch.
fn refused(of: &str, rule: &'static str) -> Cause {
    stands(of, "held", rule, "tidegate-change.refused").by("commit").saw("main")
}

fn pushes(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let pushed = push(stage, |_| {});
    causes.lasts(
        refused(&pushed, "no-direct-push")
            .of("com.github.push")
            .says("pushed to main and no change")
            .clear("open a change"),
    );
    let forced = push(stage, |payload| payload["forced"] = json!(true));
    causes.lasts(refused(&forced, "no-force-push").of("com.github.push").says("rewrote").clear("restore the branch"));
    let elsewhere = push(stage, |payload| payload["ref"] = json!("refs/heads/ideas"));
    let unjudged = stands(&elsewhere, "held", "not-judged", "com.github.push").saw("ideas");
    causes.lasts(unjudged.says("on ideas").says("protected branch").clear("open a change for a protected branch"));
}

fn reviews(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let unreviewed = stage.open(&Change { approved_by: None, ..stage.proposal() });
    let unapproved = |of: &str| refused(of, "reviews").of("change.created");
    causes
        .lasts(unapproved(&unreviewed).says("0 of 1 approvals").clear(format!("not the author, approve {unreviewed}")));
    let change = Change { approved_by: None, ..stage.proposal() };
    stage.review(change.number, "grace", "APPROVED", &commit("the head before"));
    let before = &commit("the head before")[..12];
    let outdated = stage.open(&change);
    causes.lasts(
        unapproved(&outdated).says(format!("grace approved {before}, which is another commit")).clear("approve"),
    );
    let change = stage.proposal();
    stage.review(change.number, "linus", "CHANGES_REQUESTED", &change.head);
    let against = refused(&stage.open(&change), "changes-requested").of("change.created");
    causes.lasts(against.says("by linus").clear("let linus approve"));
}

fn checks(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let built = || Change { checks: vec!["build".to_owned()], ..stage.proposal() };
    let untested = refused(&stage.open(&built()), "checks").of("change.created");
    causes.lasts(untested.says("check test has not reported").clear("let test succeed on"));
    let change = built();
    stage.check(&change.head, "test", "failure");
    let broken = refused(&stage.open(&change), "checks").of("change.created");
    causes.lasts(broken.says("check test ended with failure").clear("let test succeed on"));
    let open = stands(&stage.open(&stage.proposal()), "held", "not-merged", "tidegate-change.accepted").by("commit");
    causes.lasts(open.says("not merged yet").clear("merge it"));

    let untested = refused(&queue(stage, &[]), "checks").of("com.github.merge_group.checks_requested");
    causes.lasts(untested.says("check build has not reported").clear("let build succeed on"));
    let queued =
        stands(&queue(stage, &["build", "test"]), "held", "not-merged", "tidegate-change.accepted").by("commit");
    causes.lasts(queued.says("the merge queue's head").clear("wait for the queue"));
}

/// Whose word it is, and the rules themselves.
fn admission_itself(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let host = &stage.world().githost;
    let unproved = commit("of nobody");
    let git = json!({
        "repo": "acme/storefront", "merged": true, "merge_commit": unproved, "base_ref": "main", "default_branch": "main",
        "number": 900,
    });
    stage.publish("dev.cdevents.change.merged.0.3.0", "acme/storefront/pull/900", &json!({ "git": git }));
    let unproved = refused(&unproved, "verified-sender").of("change.merged");
    causes.lasts(unproved.says("nobody proved who sent").clear("give the webhook a secret"));

    host.put_file(&base(), ".tidegate/admission.toml", "reviews = \"some\"\n".to_owned());
    let unreadable = refused(&stage.open(&stage.proposal()), "policy-unreadable").of("change.created");
    causes.lasts(
        unreadable.says(".tidegate/admission.toml").says("cannot be read").clear("mend .tidegate/admission.toml"),
    );
    host.put_file(&base(), ".tidegate/admission.toml", ADMISSION.to_owned());
}

/// The merge queue asks for checks on a head of its own, which has some of them; the head.
#[track_caller]
fn queue(stage: &Stage<'_>, checks: &[&str]) -> String {
    let (change, host) = (stage.proposal(), &stage.world().githost);
    let head = commit(&format!("queued {}", change.number));
    host.put(change.clone());
    checks.iter().for_each(|check| stage.check(&head, check, "success"));
    let group = json!({
        "head_sha": head, "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-{}-{}", change.number, base()),
        "base_sha": base(), "base_ref": "refs/heads/main",
    });
    let repository = json!({
        "full_name": "acme/storefront", "html_url": "https://git.example/acme/storefront", "default_branch": "main",
    });
    let payload = json!({
        "action": "checks_requested", "merge_group": group, "repository": repository, "sender": { "login": "ada" },
    });
    stage.github(sender::github("merge_group", &format!("queued {head}"), &payload));
    head
}

/// A git host that is away, or lets nobody in.
fn git_host(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let host = &stage.world().githost;
    host.with(|known| known.trouble = Some(StatusCode::BAD_GATEWAY));
    let head = stage.open(&stage.proposal());
    let away = stands(&head, "waiting", "retrying", "change.created").by("commit");
    causes.passes(&away.says("commit failed").says("was answered 502").clear("tried again by itself"));
    host.with(|known| known.trouble = None);
    stage.stands(&head, STAGING, "held", Some("not-merged"));

    host.with(|known| known.trouble = Some(StatusCode::UNAUTHORIZED));
    let head = stage.open(&stage.proposal());
    let kept_out = stands(&head, "failed", "dead-letter", "change.created").by("commit");
    let says = "give the connection a token that is valid";
    causes.passes(&kept_out.says("commit gave up on change.created").says(says).clear("`tidegate dlq redrive"));
    let cause = stage.why(&head, STAGING)["cause"].take();
    host.with(|known| known.trouble = None);
    follow(stage, &cause);
    stage.stands(&head, STAGING, "held", Some("not-merged"));
}

/// From an accepted commit to an artifact.
fn pipelines(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let failed = |of: &str| stands(of, "failed", "pipeline-failed", "pipelinerun.finished").by("pipeline");
    let task = |of: &str| failed(of).of("taskrun.finished").saw("component").clear("a commit is run once");
    let repository = format!("{}/acme/storefront", stage.world().registry_host);

    let broken = task(&stage.merge(&shell("echo it does not compile; exit 3", "")));
    causes.lasts(broken.says("task component failed: exit status 3").clear("GET /blobs/sha256:"));
    let listed = shell("", "").replace("\"sh\", \"-c\", \"\"", "\"make\"");
    let unlisted = task(&stage.merge(&listed));
    causes.lasts(unlisted.says("program \"make\" is not allowed").says("config programs of function runner"));
    let tagged = task(&stage.merge(&shell(&made(&repository, "latest"), "")));
    causes.lasts(tagged.says("\"latest\" is not sha256:"));
    let unreadable = failed(&stage.merge("name = release\n")).of("tidegate-change.accepted");
    causes.lasts(unreadable.says(".tidegate/pipeline.toml, cannot be read: line 1").clear("a commit is run once"));

    let bare = stands(&stage.merge_without_pipeline(), "held", "no-run", "tidegate-change.accepted").by("commit");
    causes.lasts(bare.says("no pipeline ran for it").clear("put .tidegate/pipeline.toml beside the code"));
    let nothing = shell("true", "").replace("results = [\"digest\", \"artifact\"]", "");
    let nothing = stands(&stage.merge(&nothing), "held", "no-artifact", "pipelinerun.finished").by("pipeline");
    causes.lasts(nothing.says("made no artifact").clear("results digest and artifact"));
    let foreign = stage.merge(&shell(&made("registry.example/acme/other", &made_up(stage)), ""));
    let foreign = stands(&foreign, "held", "no-gate", "artifact.packaged").by("pipeline");
    causes.lasts(
        foreign
            .says("the gate of staging said nothing of registry.example/acme/other")
            .saw("registry.example/acme/other")
            .clear("a service in the plan"),
    );

    let dispatched = |more: &str| {
        format!("{more}\n[[task]]\nname = \"smoke\"\nexecutor = \"workflow-dispatch\"\nworkflow = \"smoke.yml\"\n")
    };
    let ignored = stands(&stage.merge(&dispatched("")), "waiting", "task-waiting", "task.requested").by("pipeline");
    causes
        .lasts(ignored.saw("workflow-dispatch").says("task smoke was asked for").clear("takes tasks of its executor"));
    let late = failed(&stage.merge(&dispatched("time = \"1s\""))).of("run.due").saw("smoke");
    causes.lasts(late.says("did not end by").says("nothing was heard of smoke").clear("a commit is run once"));
    let slow = stage.merge(&shell("sleep 600", ""));
    stage.said("task.requested", &slow);
    let slow = stands(&slow, "waiting", "running", "task.requested").by("runner");
    causes.lasts(slow.says("task component: runner is at work on task.requested").clear("wait"));
}

/// What scanners say of an artifact that is there.
fn scans(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let blocked = |of: &str, rule| stands(of, "held", rule, "gate.blocked").by("gate-staging");
    let built = unpushed(stage);
    let unscanned = blocked(&built.release, "missing-evidence").lacks(&["image", "dependency", "static"]);
    causes.lasts(
        unscanned.says("no image scan of this digest").says("no static scan of its commit").clear("send the report"),
    );

    let built = unpushed(stage);
    stage.scan_source(&built);
    let another = made_up(stage);
    stage.scan_image(&built.artifact, &another, &[], &now());
    stage.said("scan.completed", &another);
    let other = blocked(&built.digest, "missing-evidence").lacks(&["image"]);
    causes.lasts(other.says("no image scan of this digest").clear("what counts is what function:scan says of it"));

    let image = |findings: &[(&str, &str)], age: Duration| {
        let built = unpushed(stage);
        stage.scan_source(&built);
        stage.scan_image(&built.artifact, &built.digest, findings, &Clock::system().now().minus(age).to_string());
        built
    };
    let scanned = |built: &Built, rule| blocked(&built.commit, rule).of("scan.completed");
    let critical = scanned(&image(&[("CVE-2026-1001", "CRITICAL")], Duration::ZERO), "image-scan");
    causes.lasts(critical.saw("CVE-2026-1001").says("(critical) in libwidget 1.2.0").clear("update to 1.2.1"));
    let excepted = scanned(&image(&[("CVE-2019-3001", "CRITICAL")], Duration::ZERO), "exception-expired");
    let excepted = excepted.saw("CVE-2019-3001").says("the exception of payments for it ended at 2020-02-01");
    causes.lasts(excepted.clear("let payments renew the exception"));
    let old = scanned(&image(&[], 10 * DAY), "scan-failed").saw("trivy");
    causes.lasts(
        old.says("does not count: the scan is of").says("older than 168 h").clear("run the image scan by trivy again"),
    );
    let day: String = Clock::system().now().minus(40 * DAY).to_string().chars().take("2026-11-25".len()).collect();
    let older = scanned(&image(&[], 40 * DAY), "stale-evidence").saw(&day);
    causes.lasts(older.says(day).says("is older than 720 h").clear("run the image scan by trivy again"));

    let built = unpushed(stage);
    stage.scan_dependencies(&built.commit);
    stage.lacks(&built, "there is no image scan of this digest; there is no static scan of its commit");
    let report = sender::static_report(&stage.world().secrets.token, &built.commit, &now());
    stage.send(edited(report, |report| report["runs"][0]["invocations"][0]["executionSuccessful"] = json!(false)));
    let aborted = scanned(&built, "scan-failed").saw("lint").lacks(&["image"]);
    causes.lasts(aborted.says("the static scan by lint does not count").clear("run the static scan by lint again"));
}

/// A gate that may not write where it keeps what it knows, until it may.
fn gates(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let built = unpushed(stage);
    let (own, other) = ("write = [\"evidence-staging\"]", "write = [\"evidence-elsewhere\"]");
    stage.around.change("tidegate.toml", |text| text.replace(own, other));
    stage.server.output(&["deploy"]);
    stage.scan_statically(&built.commit);
    let unread = stands(&built.release, "failed", "dead-letter", "scan.completed").by("gate-staging");
    let unread =
        unread.says("gate-staging gave up on scan.completed").says("may not read key space \"evidence-staging\"");
    causes.passes(&unread.clear("`tidegate dlq redrive"));
    let cause = stage.why(&built.release, STAGING)["cause"].take();
    stage.around.change("tidegate.toml", |text| text.replace(other, own));
    stage.server.output(&["deploy"]);
    follow(stage, &cause);
    let lacking = stands(&built.release, "held", "missing-evidence", "gate.blocked").by("gate-staging");
    causes.lasts(lacking.lacks(&["image", "dependency"]).says("no image scan").clear("send the report"));
}

/// Changes a blob in the registry, so that it is not what was pushed; a second time puts it right.
fn invert(stage: &Stage<'_>, digest: &str) {
    stage.world().registry.with(|stored| {
        let blob = stored.blobs.iter_mut().find(|((_, stored), _)| stored == digest);
        let (_, bytes) = blob.expect("the registry has the blob");
        *bytes = bytes.iter().map(|byte| !byte).collect();
    });
}

/// From a gate that passed to what runs.
fn deployments(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let registry = &stage.world().registry;

    // The registry is away when the release is to be pulled.
    let built = stage.build(&[]);
    stage.scan_source(&built);
    registry.with(|stored| stored.trouble = Some(StatusCode::SERVICE_UNAVAILABLE));
    stage.scan_image(&built.artifact, &built.digest, &[], &now());
    let away = stands(&built.release, "waiting", "retrying", "deployment.requested").by("reconcile");
    let away = away.says("reconcile failed").says("answered 503");
    causes.passes(&away.clear("tried again by itself"));
    registry.with(|stored| stored.trouble = None);
    stage.runs(&built, STAGING);

    let refused = |built: &Built| stands(&built.release, "held", "deployment-refused", "release.refused").by("deploy");
    let again = |built: &Built| format!("`tidegate redeploy {} --in staging`", built.release);
    // Somebody changed what the registry has.
    let built = stage.build(&[]);
    stage.scan_source(&built);
    invert(stage, &layer(stage, &built));
    stage.scan_image(&built.artifact, &built.digest, &[], &now());
    let changed = refused(&built).says("has other bytes than its digest says").clear(again(&built));
    causes.passes(&changed);
    let cause = stage.why(&built.release, STAGING)["cause"].take();
    invert(stage, &layer(stage, &built));
    follow(stage, &cause);
    stage.runs(&built, STAGING);
    stage.is_released(&built.release, STAGING);

    // A component that wants what the function was not granted.
    let own = Repository { host: &stage.world().registry_host, name: "acme/storefront", authorization: None };
    let digest = own.push(tidegate::builtin::component("gate").expect("it is shipped"));
    let repository = format!("{}/{}", own.host, own.name);
    let built = stage.built(stage.merge(&shell(&made(&repository, &digest), "")));
    stage.scan(&built);
    causes.lasts(refused(&built).says("keyvalue").clear(again(&built)));

    // One that was never pushed.
    let built = unpushed(stage);
    stage.scan(&built);
    causes.lasts(refused(&built).says("push it again").clear(again(&built)));
}

/// An artifact that its pipeline tells of, and nobody has pushed: no gate looks at the bytes.
#[track_caller]
fn unpushed(stage: &Stage<'_>) -> Built {
    let repository = format!("{}/acme/storefront", stage.world().registry_host);
    stage.built(stage.merge(&shell(&made(&repository, &made_up(stage)), "")))
}

/// A digest of its own, of bytes that nobody has.
fn made_up(stage: &Stage<'_>) -> String {
    digest(format!("made up {}", stage.next()).as_bytes())
}

/// The digest of an artifact's component.
#[track_caller]
fn layer(stage: &Stage<'_>, built: &Built) -> String {
    let path = format!("/v2/acme/storefront/manifests/{}", built.digest);
    let manifest = http::json(&format!("http://{}", stage.world().registry_host), &path);
    manifest["layers"][0]["digest"].as_str().expect("an artifact has a layer").to_owned()
}

/// What releases do, and what follows.
fn runtime(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let good = shipped_to_production(causes);
    let bad = failing_in_production(causes);
    named_otherwise(stage, &good, &bad);
    refused_again(stage, &good, &bad);
    lifted(causes, &bad);
    late(causes);
    unused(causes);

    // What the first release was replaced by in staging; in production nothing took its place.
    let replaced = stage.why(&good.release, STAGING);
    assert_eq!(
        (&replaced["state"], &replaced["cause"]["rule"]),
        (&json!("replaced"), &json!("replaced")),
        "{replaced:#}"
    );
    let clear = replaced["cause"]["clear"].as_str().expect("a way");
    assert!(clear.contains(&format!("`tidegate redeploy {} --in staging`", good.release)), "{replaced:#}");
    taken_away(causes);
}

/// Of what runs, the chain that brought it there.
fn shipped_to_production(causes: &mut Causes<'_>) -> Built {
    let stage = causes.stage;
    let built = stage.stage(&[]);
    stage.order(&built, STAGING, &EUROS);
    stage.runs(&built, PRODUCTION);
    stage.order(&built, PRODUCTION, &MIXED);
    stage.said_in(&["release.verified"], &built.digest, PRODUCTION);
    for of in [&built.commit, &built.digest, &built.release] {
        let why = stage.stands(of, PRODUCTION, "released", None);
        let chain = why["chain"].clone();
        let words: Vec<&str> =
            chain.as_array().into_iter().flatten().filter_map(|step| step["word"].as_str()).collect();
        let path = [
            "change.merged",
            "tidegate-change.accepted",
            "artifact.identified",
            "artifact.packaged",
            "pipelinerun.finished",
            "scan.completed",
            "scan.completed",
            "scan.completed",
            "gate.passed",
            "placement.decided",
            "service.deployed",
            "release.verified",
        ];
        let mut sorted = (words.clone(), path.to_vec());
        // What tells of an artifact comes in any order.
        sorted.0[2..5].sort_unstable();
        sorted.1[2..5].sort_unstable();
        assert_eq!(sorted.0, sorted.1, "{why:#}");
        assert_eq!(stage.server.json(&["why", of, "--in", PRODUCTION]), [why]);
        let screen = stage.screen(of, PRODUCTION);
        assert!(words.iter().all(|word| screen.contains(word)), "{screen}");
    }
    built
}

/// The fault shows in production alone; the release before comes back.
fn failing_in_production(causes: &mut Causes<'_>) -> Built {
    let stage = causes.stage;
    let built = stage.stage(&["--defect"]);
    stage.order(&built, STAGING, &EUROS);
    stage.runs(&built, PRODUCTION);
    stage.order(&built, PRODUCTION, &MIXED);
    stage.until("the release before is back", |seen| {
        seen.name == "service.rolledback" && seen.is("environment", PRODUCTION)
    });
    let quarantined = stands(&built.commit, "held", "quarantined", "digest.quarantined").in_production().by("rollback");
    let quarantined = quarantined.of("release.failed").says("8 of 40 events failed, which is 20 %; at most 5 % may");
    causes.passes(&quarantined.clear(format!("`tidegate lift {} --reason TEXT`", built.digest)));
    built
}

/// A thing by what it is also called, or is not: an answer, or the sentence that leads to one.
fn named_otherwise(stage: &Stage<'_>, good: &Built, bad: &Built) {
    let digits = |digest: &str, count: usize| digest["sha256:".len()..].chars().take(count).collect::<String>();
    for of in [digits(&good.digest, 12), digits(&good.digest, 64)] {
        assert_eq!(stage.server.json(&["why", &of]).remove(0)["of"], good.digest.as_str(), "{of}");
    }
    let refused = |arguments: &[&str], parts: &[&str]| {
        let said = stage.server.tidegate(arguments);
        assert!(!said.status.success(), "{arguments:?}: {}", text(&said));
        assert!(parts.iter().all(|part| text(&said).contains(part)), "{arguments:?}: {}", text(&said));
    };
    for of in [good.commit[..12].to_ascii_uppercase(), digits(&good.digest, 12).to_ascii_uppercase()] {
        let known = stage.server.json(&["why", &of]).remove(0);
        assert!([&good.commit, &good.digest].iter().any(|name| known["of"] == name.as_str()), "{of}: {known}");
    }
    let (short, component) = (digits(&good.digest, 5), layer(stage, good));
    refused(&["why", &short], &["is too short", &good.digest]);
    for of in [component.as_str(), &component["sha256:".len()..], &component[..20]] {
        refused(&["why", of], &["is a component", &format!("`tidegate why {}`", good.release)]);
    }

    deployments_are_named(stage, good, &refused);
    senders_tell_of(stage, good);
    refused(&["why", ""], &["name a commit, a digest or a release"]);
    refused(&["why", "#99999"], &["no event at position 99999; the last one is"]);

    let redeploy = format!("`tidegate redeploy {} --in production`", good.release);
    refused(&["redeploy", &good.commit[..12], "--in", PRODUCTION], &["is a commit", &redeploy]);
    for of in [good.digest.clone(), digits(&good.digest, 9)] {
        refused(&["redeploy", &of, "--in", PRODUCTION], &["is a digest", &redeploy]);
    }
    refused(&["redeploy", "latest", "--in", PRODUCTION], &["no release \"latest\"", "a tag is never followed"]);
    for of in [bad.digest[..16].to_owned(), digits(&bad.digest, 9)] {
        refused(&["lift", &of, "--reason", "drill"], &["the whole digest", &bad.digest]);
    }
    refused(&["lift", &good.digest, "--reason", "drill"], &["is in no quarantine; these are", &bad.digest]);
}

/// A digest that `deployments` shows is that of all functions together: it says what it is, and where that leads.
#[track_caller]
fn deployments_are_named(stage: &Stage<'_>, good: &Built, refused: &dyn Fn(&[&str], &[&str])) {
    let deployments = stage.server.json(&["deployments"]);
    let of = |index: usize| deployments[index]["digest"].as_str().expect("a deployment has a digest");
    // It may have been deployed again since, and is the same then.
    let unbrought = ["is deployment ", "not active any more", "no release brought it", "shows it whole"];
    refused(&["why", of(0)], &unbrought);
    refused(&["why", &of(0)["sha256:".len()..][..12]], &unbrought);
    refused(&["why", "#1"], &["is deployment 1, ", "not active any more", "`tidegate deployments 1` shows it whole"]);
    let brought = |deployment: &&Value| {
        let digest = deployment["digest"].as_str().expect("a deployment has a digest");
        let said = text(&stage.server.tidegate(&["why", digest]));
        said.contains(&format!("it came with {}: `tidegate why {}`", good.release, good.release))
    };
    assert!(deployments.iter().any(|deployment| brought(&deployment)), "{deployments:#?}");
}

/// The event of whoever told of a commit or an artifact leads to it, in whatever form it is told.
#[track_caller]
fn senders_tell_of(stage: &Stage<'_>, good: &Built) {
    for (ty, origin) in [
        ("com.trivy.report", "/hooks/scans"),
        ("com.trivy.report", "bucket/reports/scans/"),
        ("com.sarif.report", "/hooks/scans"),
        ("dev.cdevents.artifact.published.*", "/hooks/registry"),
    ] {
        let events = stage.server.json(&["events", "--type", ty, "--limit", "1000"]);
        let own = events.iter().find(|event| {
            let told = event["event"].to_string();
            event["origin"]["name"] == origin && (told.contains(&good.commit) || told.contains(&good.digest[7..]))
        });
        let own = own.unwrap_or_else(|| panic!("no {ty} from {origin} of {good:?}: {events:#?}"));
        let of = stage.server.json(&["why", &format!("#{}", own["position"])]).remove(0)["of"].take();
        assert!(of == good.commit.as_str() || of == good.digest.as_str(), "{ty} from {origin}: {of}");
    }
}

/// What `releases` says of one.
fn standing(stage: &Stage<'_>, release: &str, environment: &str) -> String {
    let releases = stage.server.json(&["releases"]);
    let own = releases.iter().find(|view| view["release"] == release).expect("it is listed");
    own["environments"][environment]["standing"].as_str().expect("it came there").to_owned()
}

/// What is asked for again and refused stays as it is.
fn refused_again(stage: &Stage<'_>, good: &Built, bad: &Built) {
    let standing = |release: &str, environment: &str| standing(stage, release, environment);
    assert_eq!(standing(&bad.release, STAGING), "verified");
    let asked = stage.server.output(&["redeploy", &bad.release, "--in", STAGING]);
    assert!(asked.contains(&format!("see: tidegate why {} --in staging\n", bad.release)), "{asked}");
    stage.until("the request is refused", |seen| {
        seen.name == "release.refused" && seen.is("release", &bad.release) && seen.is("rule", "quarantined")
    });
    assert_eq!(standing(&bad.release, STAGING), "verified");
    assert_eq!(stage.why(&bad.release, STAGING)["state"], "released");
    assert_eq!(standing(&bad.release, PRODUCTION), "failed");
    // It was verified before, and is back.
    assert_eq!(standing(&good.release, PRODUCTION), "verified");
}

/// Whoever follows the way to clear clears it.
fn lifted(causes: &mut Causes<'_>, bad: &Built) {
    let stage = causes.stage;
    let empty = stage.server.tidegate(&["lift", &bad.digest, "--reason", " "]);
    assert!(!empty.status.success() && text(&empty).contains("says why"), "{}", text(&empty));
    let cause = stage.why(&bad.release, PRODUCTION)["cause"].take();
    let lift = commands(&cause["clear"]).remove(0).replace("TEXT", "the-orders-were-wrong");
    let said = stage.server.output(&lift.split(' ').skip(1).collect::<Vec<_>>());
    assert!(said.contains(&format!("see: tidegate why {}\n", bad.digest)), "{said}");
    assert_eq!(stage.said("digest.cleared", &bad.digest).text("reason"), Some("the-orders-were-wrong"));
    let failed = stands(&bad.digest, "failed", "failed-verification", "release.failed").in_production().by("verify");
    let failed =
        failed.says("8 of 40 events failed").clear(format!("`tidegate redeploy {} --in production`", bad.release));
    causes.passes(&failed);
    let cause = stage.why(&bad.release, PRODUCTION)["cause"].take();
    follow(stage, &cause);
    // Nobody orders from it, so that it stays unproven, of which `why` says as much as `releases`.
    let unproven = stands(&bad.release, "released", "verifying", "verification.due").in_production().by("verify");
    causes.passes(&unproven.says("0 events ended; at least 20 have to").clear("looked at again by itself"));
    let unproven = stands(&bad.release, "released", "insufficient", "release.insufficient").in_production();
    let unproven = unproven.by("verify").says("0 events ended; at least 20 have to").clear("use it in production");
    causes.passes(&unproven.clear(format!("`tidegate redeploy {} --in production`", bad.release)));
    assert_eq!(standing(stage, &bad.release, PRODUCTION), "unproven");
    let again = stage.server.tidegate(&["lift", &bad.digest, "--reason", "once more"]);
    assert!(!again.status.success() && text(&again).contains("is in no quarantine"), "{}", text(&again));
}

/// An older commit of which is heard late.
fn late(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let pipeline = stage.pipeline(&[]);
    let built = stage.built(stage.merge_late(&pipeline));
    stage.scan(&built);
    let older = |of: &str| stands(of, "held", "older-commit", "release.refused").by("deploy");
    let clear = format!("`tidegate redeploy {} --in staging`", built.release);
    causes.lasts(older(&built.commit).says("is of an older commit than").clear(clear.clone()));
    causes.lasts(older(&built.commit).in_production().because_of(STAGING).says("which staging has").clear(clear));
}

/// A release that nobody uses.
fn unused(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let built = stage.stage(&[]);
    stage.until("the second look", |seen| {
        seen.name == "verification.due" && seen.is("release", &built.release) && seen.text("reason").is_some()
    });
    let verifying = stands(&built.release, "waiting", "verifying", "verification.due").in_production();
    let verifying = verifying.because_of(STAGING).by("verify").says("0 events ended; at least 20 have to");
    causes.passes(&verifying.clear("looked at again by itself"));
    stage.said_in(&["release.insufficient"], &built.digest, STAGING);
    let unused = stands(&built.release, "held", "insufficient", "release.insufficient").in_production();
    let unused = unused.because_of(STAGING).by("verify").says("0 events ended; at least 20 have to");
    let again = format!("`tidegate redeploy {} --in staging`", built.release);
    causes.passes(&unused.clear(&again));
    let unused = built;

    // What production does not take, staging may.
    let built = stage.build(&[]);
    stage.scan_source(&built);
    stage.scan_image(&built.artifact, &built.digest, &[("CVE-2026-2002", "HIGH")], &now());
    stage.runs(&built, STAGING);
    let high = stands(&built.commit, "held", "image-scan", "gate.blocked").in_production().by("gate-production");
    let high = high.of("scan.completed").saw("CVE-2026-2002").lacks(&["verified:staging"]);
    causes.lasts(high.says("(high)").clear("update to 1.2.1"));
    let replaced = stands(&unused.release, "held", "replaced", "service.upgraded").in_production().because_of(STAGING);
    let replaced = replaced.by("deploy").says("took its place in staging before it was verified there");
    causes.passes(&replaced.clear(again));
}

/// Somebody takes a service out of the project.
fn taken_away(causes: &mut Causes<'_>) {
    let stage = causes.stage;
    let before = stage.stage(&[]);
    let running = stage.stage(&[]);
    let mut whole = String::new();
    stage.around.change("tidegate.toml", |text| {
        text.clone_into(&mut whole);
        let (before, after) = text.split_once("[[function]]\nname = \"storefront-staging\"").expect("it is there");
        let (_, after) = after.split_once("[[function]]").expect("another follows");
        format!("{before}[[function]]{after}")
    });
    stage.server.output(&["deploy"]);
    let gone = stands(&running.release, "failed", "drifted", "drift.detected").by("drift");
    let gone = gone.says("storefront-staging is not deployed any more since deployment");
    causes.passes(&gone.clear("bring storefront-staging back into the project file, then `tidegate deploy`"));
    assert_eq!(standing(stage, &running.release, STAGING), "drifted");
    let replaced = stands(&before.release, "replaced", "drifted", "drift.detected").by("drift");
    let replaced = replaced.says(format!("{} took its place in staging, but", running.release));
    causes.passes(&replaced.clear(format!("`tidegate why {} --in staging`", running.release)));
    let cause = stage.why(&running.release, STAGING)["cause"].take();
    stage.around.change("tidegate.toml", |_| whole);
    follow(stage, &cause);
    stage.is_released(&running.release, STAGING);
    stage.stands(&before.release, STAGING, "replaced", Some("replaced"));
    assert_eq!(standing(stage, &running.release, STAGING), "running");
}

/// What nobody told of, and what is no environment.
fn nothing(stage: &Stage<'_>) {
    let told = |arguments: &[&str]| {
        let output = stage.server.tidegate(arguments);
        assert!(!output.status.success(), "{}", text(&output));
        text(&output)
    };
    for unknown in ["9fceb02d0ae598e95dc970b74767f19372d61af8", "sha256:00aa00aa00aa", "storefront-000000000000"] {
        let said = told(&["why", unknown, "--in", STAGING]);
        assert!(said.contains(&format!("no event tells of a commit, a digest or a release {unknown:?}")), "{said}");
        assert!(said.contains("`tidegate releases`") && said.contains("its webhook was delivered"), "{said}");
    }
    let said = told(&["why", "9fceb02d", "--in", "testing"]);
    assert!(said.contains("\"testing\" is no environment of the project; it has: staging, production"), "{said}");
}
