//! What a function asks to be released runs, is kept over restarts and changed files, and gives way to a person.

use serde_json::{Value, json};

use crate::http::{STRUCTURED, post};
use crate::registry::{Registry, digest};
use crate::support::{Project, Server, eventually, text};

const ACTIVATED: &str = "dev.cdeventsx.tidegate-deployment.activated.";

/// One function asks, as its events say; the other waits for its first release.
fn manifest(registry: &str, shop: &str) -> String {
    format!(
        "{registry}\n\
         [[function]]\nname = \"asks\"\ncomponent = \"builtin:relay\"\non = [\"org.test.ask\"]\n\
         config = {{ to = \"dev.cdeventsx.tidegate-deployment.requested.0.1.0\" }}\n\
         grants = {{ emits = [\"deployment.requested\"], deploy = [\"shop\"] }}\n\
         [[function]]\nname = \"shop\"\non = [\"org.test.order\"]\ngrants = {{ emits = [\"org.test.*\"] }}\n{shop}\n"
    )
}

const UNRELEASED: &str = "component = \"builtin:unreleased\"";

fn insecure(registry: &Registry) -> String {
    format!("[registries.\"{}\"]\ninsecure = true", registry.host)
}

fn shipped(name: &str) -> &'static [u8] {
    tidegate::builtin::component(name).expect("it is shipped")
}

/// Changes the project's file as a person would.
fn rewrite(project: &Project, manifest: &str) {
    let path = project.folder().join("tidegate.toml");
    let before = std::fs::read_to_string(&path).expect("the project has a file");
    let head = before.split("[registries").next().expect("a split has a first part");
    project.write("tidegate.toml", format!("{head}{manifest}"));
}

#[track_caller]
fn publish(server: &Server<'_>, id: &str, ty: &str, data: &Value) -> String {
    let event = json!({ "specversion": "1.0", "id": id, "source": "/tests", "type": ty, "data": data });
    post(&server.api, "/events", &[STRUCTURED], event.to_string().as_bytes()).id()
}

#[track_caller]
fn ask(server: &Server<'_>, id: &str, component: &str) {
    let content = json!({
        "function": "shop", "component": component, "config": { "to": "org.test.sold" }, "release": "shop-1",
        "environment": "staging", "service": "shop", "purpose": "promotion",
    });
    publish(server, id, "org.test.ask", &json!({ "subject": { "id": "shop", "content": content } }));
}

#[track_caller]
fn shop(server: &Server<'_>) -> Value {
    server.json(&["functions", "show", "shop"]).remove(0)
}

#[track_caller]
fn events(server: &Server<'_>, ty: &str) -> Vec<Value> {
    server.json(&["events", "--type", &format!("{ty}*")])
}

#[track_caller]
fn wait_for_release(server: &Server<'_>) -> Value {
    eventually("the release runs", || Some(shop(server)).filter(|shop| shop["pin"].is_object()))
}

#[test]
fn a_release_runs_is_kept_and_gives_way_to_a_person() {
    let registry = Registry::small();
    let component = registry.push(shipped("relay"));
    let with = |shop: &str| manifest(&insecure(&registry), shop);
    let project = Project::new(&with(UNRELEASED));
    let server = project.up();

    // Before anything was released, an order is a dead letter that says so.
    publish(&server, "early", "org.test.order", &json!({}));
    let letter = eventually("the order is refused", || server.json(&["dlq", "list"]).pop());
    let reason = letter["invocation"]["failure"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("nothing was released to this function yet"), "{letter}");

    ask(&server, "ask-1", &component);
    let released = wait_for_release(&server);
    assert_eq!(released["component"]["digest"], digest(shipped("relay")), "{released}");
    assert_eq!(released["component"]["reference"], format!("oci:{component}"), "{released}");
    assert_eq!((&released["pin"]["release"], &released["pin"]["config"]), (&json!("shop-1"), &json!(["to"])));
    assert_eq!(released["pin"]["file"]["reference"], "builtin:unreleased", "{released}");
    let answer = events(&server, ACTIVATED).pop().expect("the activation is told");
    assert_eq!(answer["event"]["data"]["subject"]["content"]["request"]["release"], "shop-1", "{answer}");
    assert_eq!(answer["origin"]["kind"], "runtime", "{answer}");

    // What came too early can be put back, and is handled by the release with its configuration.
    server.output(&["dlq", "redrive", "--all"]);
    eventually("the order is handled", || events(&server, "org.test.sold").pop());
    server.kill();

    // A restart changes nothing, and a changed file changes what is the file's.
    let server = project.up();
    let again = shop(&server);
    for what in ["component", "pin", "deployment"] {
        assert_eq!(again[what], released[what], "{again}");
    }
    assert!(server.stop().success());
    rewrite(&project, &with(&format!("{UNRELEASED}\nconcurrency = 3")));
    let server = project.up();
    let after = shop(&server);
    assert_eq!((&after["concurrency"], &after["deployment"]), (&json!(3), &json!(3)), "{after}");
    assert_eq!((&after["component"], &after["pin"]), (&released["component"], &released["pin"]), "{after}");
    assert!(server.output(&["functions"]).contains("builtin:unreleased"));

    // A person's deploy leaves what they did not change of a function.
    rewrite(&project, &with(&format!("{UNRELEASED}\nconcurrency = 5")));
    server.output(&["deploy"]);
    assert_eq!(shop(&server)["pin"], released["pin"]);
    rewrite(&project, &with("component = \"builtin:relay\"\nconfig = { to = \"org.test.other\" }"));
    server.output(&["deploy"]);
    let deployed = shop(&server);
    assert_eq!((&deployed["pin"], &deployed["component"]["reference"]), (&Value::Null, &json!("builtin:relay")));
    // An earlier set comes back with its release.
    server.output(&["rollback", "4"]);
    assert_eq!((&shop(&server)["pin"], &shop(&server)["concurrency"]), (&released["pin"], &json!(5)));
}

#[test]
fn a_component_comes_from_docker_s_registry_by_its_login_and_not_without() {
    let registry = Registry::docker();
    let component = registry.push(shipped("relay"));
    let login = format!("{}\nusername = \"${{env:NAME}}\"\npassword = \"${{env:PASSWORD}}\"", insecure(&registry));
    let project =
        |password: &str| Project::new(&manifest(&login, UNRELEASED)).env("NAME", "tester").env("PASSWORD", password);
    let let_in = project("hunter2");
    let server = let_in.up();
    ask(&server, "ask", &component);
    assert_eq!(wait_for_release(&server)["component"]["digest"], digest(shipped("relay")));

    let kept_out = project("hunter3");
    let server = kept_out.up();
    ask(&server, "ask", &component);
    let refused = eventually("it is refused", || events(&server, "dev.cdeventsx.tidegate-deployment.refused.").pop());
    let problems = refused["event"]["data"]["subject"]["content"]["problems"].to_string();
    assert!(problems.contains("set username and password of [registries."), "{problems}");
    assert_eq!(shop(&server)["pin"], Value::Null);
}

#[test]
fn a_project_may_not_have_the_reconciler_s_name_nor_grant_what_is_not_there() {
    let text_of = |manifest: &str| text(&Project::new(manifest).tidegate(&["check"]));
    let named = "[[function]]\nname = \"reconcile\"\ncomponent = \"builtin:relay\"\non = [\"org.test.order\"]\n";
    assert!(text_of(named).contains("reconcile is the runtime's own function"), "{}", text_of(named));
    let granted = manifest("", UNRELEASED).replace("deploy = [\"shop\"]", "deploy = [\"shp-*\"]");
    assert!(text_of(&granted).contains("so there is nothing to deploy"), "{}", text_of(&granted));
}

#[test]
fn what_a_person_deploys_is_unverified_and_refused_where_the_running_project_says_so() {
    let with = |head: &str| format!("{head}\n[[function]]\nname = \"shop\"\n{UNRELEASED}\non = [\"org.test.order\"]\n");
    let project = Project::new(&with(""));
    let server = project.up();
    let verified = |number: &str| server.json(&["deployments", number]).remove(0)["verified"].clone();
    assert_eq!(verified("1"), true);
    let refusing = "[deploy]\nunverified = \"refuse\"";
    project.write(
        "tidegate.toml",
        std::fs::read_to_string(project.folder().join("tidegate.toml")).expect("it is there") + refusing,
    );
    server.output(&["deploy"]);
    assert_eq!(verified("2"), false);
    assert!(server.output(&["deployments"]).contains("unverified"));

    // From now on nothing from a laptop runs, whatever it says of itself.
    let file = std::fs::read_to_string(project.folder().join("tidegate.toml")).expect("it is there");
    project.write("tidegate.toml", file.replace(refusing, "").replace("order", "return"));
    let refused = server.tidegate(&["deploy"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused);
    assert!(said.contains("deploy.unverified") && said.contains("release it by the path"), "{said}");
    assert_eq!(server.json(&["deployments"]).len(), 2);
    // A set that was active before can be had again, if it was verified, and going back opens no door.
    server.output(&["rollback", "1"]);
    assert_eq!(verified("3"), true);
    for arguments in [&["rollback", "2"][..], &["deploy"]] {
        let said = text(&server.tidegate(arguments));
        assert!(said.contains("deploy.unverified"), "{arguments:?}: {said}");
    }
    assert_eq!(server.json(&["deployments"]).len(), 3);
}
