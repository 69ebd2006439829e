//! How events ended with a function, counted by another one on a running project.

use serde_json::{Value, json};

use crate::guests;
use crate::stage::{event, function, log, publish, wait_until_settled};
use crate::support::{Project, Server, text};

const PEER: &str = "[connections.peer]\nurl = \"http://127.0.0.1:9\"\n";
const SHOP: &str = "\
[[function]]
name = \"shop\"
component = \"hostile.wasm\"
on = [\"test.echo*\", \"test.reject*\", \"test.trap*\"]
config = { a = \"1\" }
retry = { attempts = 2, initial = \"1ms\" }
grants = { keyvalue = { write = [\"counts\"] }, http = [\"peer\"], logging = true, emits = [\"test.done*\"] }
";

/// A project with the function `shop`, and `verify` with these grants, which counts.
fn project(grants: &str) -> Project {
    let verify = format!(
        "[[function]]\nname = \"verify\"\ncomponent = \"counting.wasm\"\non = [\"test.asked*\"]\n\
         grants = {{ {grants}emits = [\"test.done*\"] }}\n"
    );
    let project = Project::new(&format!("{PEER}{SHOP}{verify}"));
    project.write("hostile.wasm", guests::hostile());
    project.write("counting.wasm", guests::counting());
    project
}

/// What `verify` is answered when all that was published is settled.
#[track_caller]
fn counted(server: &Server<'_>, asked: Value) -> Value {
    wait_until_settled(server);
    let mut asking = event(&format!("ask {asked}"), "test.asked", "");
    asking["data"] = asked;
    asking["datacontenttype"] = json!("application/json");
    publish(server, &[asking]);
    wait_until_settled(server);
    let log = log(server);
    let answer = log.iter().rfind(|event| event["origin"]["name"] == "verify");
    answer.expect("it was answered")["event"]["data"].clone()
}

#[test]
fn a_function_counts_how_events_ended_with_another_since_a_position_and_across_its_names() {
    let project = project("statistics = [\"shop*\"], ");
    let server = project.up();
    let mut events: Vec<Value> = (0..5).map(|index| event(&index.to_string(), "test.echo", "x")).collect();
    events.extend([event("5", "test.reject", "no"), event("6", "test.trap", "")]);
    publish(&server, &events);
    wait_until_settled(&server);
    let component = function(&server, "shop")["component"]["digest"].clone();
    let position = |id: &str| {
        let log = log(&server);
        let found = log.iter().find(|event| event["event"]["id"] == id && event["origin"]["kind"] == "api");
        found.expect("it is in the log")["position"].as_u64().expect("a position")
    };
    let (first, rejected) = (position("0"), position("5"));

    let ask =
        |from: u64, to: Option<u64>| json!({ "function": "shop", "component": component, "from": from, "to": to });
    let all = counted(&server, ask(1, None));
    assert_eq!(all["outcomes"], json!({ "delivered": 5, "rejected": 1, "trapped": 1 }), "{all}");
    assert_eq!(all["failed"], 2, "a retry has not ended: {all}");
    assert!(all["median_millis"].as_f64().expect("something ran") > 0.0, "{all}");
    assert!(all["position"].as_u64() > Some(rejected), "{all}");
    for (from, to, outcomes) in [
        (first, Some(first), json!({ "delivered": 1 })),
        (first, Some(rejected), json!({ "delivered": 5, "rejected": 1 })),
        (rejected, None, json!({ "rejected": 1, "trapped": 1 })),
        (rejected + 2, None, json!({})),
    ] {
        assert_eq!(counted(&server, ask(from, to))["outcomes"], outcomes, "from {from} to {to:?}");
    }

    server.kill();
    let file = std::fs::read_to_string(project.folder().join("tidegate.toml")).expect("there is a project file");
    project.write("tidegate.toml", file.replace("name = \"shop\"", "name = \"shop-cart\"\nwas = \"shop\""));
    let server = project.up();
    let mut renamed = ask(1, None);
    renamed["function"] = json!("shop-cart");
    assert_eq!(counted(&server, renamed)["outcomes"], all["outcomes"]);
}

#[test]
fn statistics_that_were_not_granted_are_refused_by_the_name_of_the_import() {
    let project = project("");
    for command in ["check", "up"] {
        let output = project.tidegate(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}: {}", text(&output));
        let expected = "imports tidegate:statistics/statistics@0.1.0, which needs the grant `statistics`";
        assert!(text(&output).contains(expected), "{command}: {}", text(&output));
    }
}
