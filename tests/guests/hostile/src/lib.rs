//! A guest for tests: it does what the type of its event says, much of it wrong.
//!
//! What it saw goes into the data of the event that it emits, as text.

#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../../wit", world: "function", generate_all });

mod http;
mod keys;
mod script;

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use tidegate::handler::types::{Attribute, Retry};

struct Hostile;

export!(Hostile);

impl Guest for Hostile {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        let data = event.data.clone().unwrap_or_default();
        let text = String::from_utf8_lossy(&data).into_owned();
        match event.type_.as_str() {
            "test.echo" => Ok(vec![echo(event)]),
            "test.loop" => spin(),
            "test.allocate" => allocate(),
            "test.trap" => core::arch::wasm32::unreachable(),
            "test.panic" => panic!("no such luck: {text}"),
            "test.recurse" => Ok(vec![done(recurse(1).to_string())]),
            "test.exit" => std::process::exit(3),
            "test.many-bytes" => Ok(vec![done("x".repeat(10_000_000))]),
            "test.far-too-many-bytes" => Ok((0..8).map(|_| done("x".repeat(5_000_000))).collect()),
            "test.many-events" => Ok((0..10_000).map(|index| done(index.to_string())).collect()),
            "test.ungranted-type" => Ok(vec![Event { type_: "test.ungranted".to_owned(), ..done(String::new()) }]),
            "test.long-type" => Ok(vec![Event { type_: "x".repeat(5_000_000), ..done(String::new()) }]),
            "test.invalid-name" => Ok(vec![with_extension("Not A Name")]),
            "test.own-id" => Ok(vec![Event { id: "mine".to_owned(), ..done(String::new()) }]),
            "test.specversion" => Ok(vec![Event { specversion: "0.3".to_owned(), ..done(String::new()) }]),
            "test.reject" => Err(Failure::Reject(text)),
            "test.retry" => Err(Failure::Retry(Retry { reason: text, after_ms: Some(1_500) })),
            "test.world" => Ok(vec![done(surroundings())]),
            "test.chance" => Ok(vec![done(chance())]),
            "test.clock" => Ok(vec![done(clock())]),
            "test.sleep" => {
                std::thread::sleep(Duration::from_secs(3_600));
                Ok(Vec::new())
            }
            "test.print" => {
                for line in 0..text.parse().unwrap_or(1) {
                    println!("line {line}");
                }
                eprint!("no line end");
                Ok(Vec::new())
            }
            "test.log" => {
                wasi::logging::logging::log(wasi::logging::logging::Level::Error, "here", &text);
                Ok(Vec::new())
            }
            "test.config" => Ok(vec![done(format!("{:?}", wasi::config::store::get_all()))]),
            "test.http" => Ok(vec![done(http::get(&text))]),
            "test.http-headers" => Ok(vec![done(http::set_header(&text))]),
            "test.script" => script::run(&text),
            "test.pass-on" => Ok(vec![passed_on()]),
            "test.pass-on-and-fail" => {
                let Event { data, .. } = passed_on();
                Err(Failure::Reject(String::from_utf8_lossy(&data.unwrap_or_default()).into_owned()))
            }
            other => keys::handle(other, &text),
        }
    }
}

/// An event that is granted and valid.
pub fn done(data: String) -> Event {
    Event {
        id: String::new(),
        source: String::new(),
        specversion: "1.0".to_owned(),
        type_: "test.done".to_owned(),
        subject: None,
        time: None,
        datacontenttype: Some("text/plain".to_owned()),
        dataschema: None,
        extensions: Vec::new(),
        data: Some(data.into_bytes()),
        origin: None,
    }
}

fn echo(event: Event) -> Event {
    let Event { subject, datacontenttype, dataschema, extensions, data, .. } = event;
    let own = |name: &str| ["causationid", "correlationid", "traceparent", "tracestate"].contains(&name);
    let extensions = extensions.into_iter().filter(|(name, _)| !own(name)).collect();
    Event { subject, datacontenttype, dataschema, extensions, data, ..done(String::new()) }
}

/// Tells everybody the JSON that the peer answers: its log in both ways, the peer, and whoever hears its event.
fn passed_on() -> Event {
    let answer = http::get("peer/told");
    let json = &answer[answer.find('{').unwrap_or(answer.len())..];
    println!("{json}");
    wasi::logging::logging::log(wasi::logging::logging::Level::Info, "here", json);
    http::get(&format!("peer/heard {json}"));
    let datacontenttype = Some("application/json".to_owned());
    Event { datacontenttype, subject: Some(json.to_owned()), ..done(json.to_owned()) }
}

fn with_extension(name: &str) -> Event {
    Event { extensions: vec![(name.to_owned(), Attribute::Boolean(true))], ..done(String::new()) }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn allocate() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1_u8; 1024 * 1024]));
    }
}

fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    std::hint::black_box(depth) + recurse(std::hint::black_box(depth + 1))
}

/// What there is of arguments, environment, files and network: nothing.
fn surroundings() -> String {
    format!(
        "args {} env {} root {} connect {} lookup {}",
        std::env::args().count(),
        std::env::vars().count(),
        std::fs::read_dir("/").is_ok(),
        std::net::TcpStream::connect("127.0.0.1:80").is_ok(),
        std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok(),
    )
}

/// Everything that differs from run to run elsewhere.
fn chance() -> String {
    let map: HashMap<u32, ()> = (0..16).map(|key| (key, ())).collect();
    let order: Vec<String> = map.keys().map(u32::to_string).collect();
    let secure = wasip2::random::random::get_random_bytes(8);
    let insecure = wasip2::random::insecure::get_insecure_random_u64();
    format!("{secure:?} {insecure} {}", order.join(","))
}

fn clock() -> String {
    let start = Instant::now();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    std::thread::sleep(Duration::from_millis(2));
    format!("{} {}", wall.as_micros(), start.elapsed() >= Duration::from_millis(2))
}
