//! Effects as the data lists them, one on each line; what each was answered is told as text.

use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::io::poll;
use wasip2::random::{insecure, insecure_seed, random};

use crate::wasi::config::store as config;
use crate::wasi::keyvalue::{atomics, store};
use crate::wasi::logging::logging;
use crate::{Event, Failure, done, http};

pub fn run(script: &str) -> Result<Vec<Event>, Failure> {
    let mut told = String::new();
    let mut emitted = Vec::new();
    for line in script.lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, first, second, third) = (word(), word(), word(), word());
        match name {
            "emit" => emitted.push(done(format!("{first} {told}"))),
            "reject" => return Err(Failure::Reject(told)),
            "trap" => core::arch::wasm32::unreachable(),
            "spin" => crate::spin(),
            "sleep" => std::thread::sleep(std::time::Duration::from_micros(number(first))),
            "log" => logging::log(logging::Level::Info, first, second),
            "print" => println!("{first}"),
            "pair" => told += &pair(first, second),
            "leave" => leave(first),
            "http" => told += &http::get(&format!("{first} {second}").trim_end().to_owned()),
            _ => told += &asked(name, first, second, third),
        }
        told.push('\n');
    }
    emitted.push(done(told));
    Ok(emitted)
}

fn asked(name: &str, first: &str, second: &str, third: &str) -> String {
    let open = || store::open(first).expect("opening never fails");
    match name {
        "wall" => format!("{:?}", wall_clock::now()),
        "monotonic" => monotonic_clock::now().to_string(),
        "random" => format!("{:?}", random::get_random_bytes(number(first))),
        "insecure" => format!("{:?}", insecure::get_insecure_random_bytes(number(first))),
        "seed" => format!("{:?}", insecure_seed::insecure_seed()),
        "get" => format!("{:?}", open().get(second)),
        "set" => format!("{:?}", open().set(second, third.as_bytes())),
        "delete" => format!("{:?}", open().delete(second)),
        "exists" => format!("{:?}", open().exists(second)),
        "increment" => format!("{:?}", atomics::increment(&open(), second, number(third))),
        "list" => open().list_keys(None).map_or_else(|error| format!("{error:?}"), |page| page.keys.join(" ")),
        "config" => format!("{:?}", config::get(first)),
        "config-all" => format!("{:?}", config::get_all()),
        other => panic!("a script knows no {other}"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("it is a number")
}

/// Two requests at once, told in the order in which they were answered.
fn pair(first: &str, second: &str) -> String {
    let mut waiting = vec![(first, http::send(first)), (second, http::send(second))];
    let mut told = String::new();
    while !waiting.is_empty() {
        let pollables: Vec<_> = waiting.iter().map(|(_, future)| future.subscribe()).collect();
        let ready = poll::poll(&pollables.iter().collect::<Vec<_>>());
        drop(pollables);
        for index in ready.into_iter().rev() {
            let (name, future) = waiting.remove(index as usize);
            told += &format!("{name}: {} ", http::answer(future));
        }
    }
    told
}

/// A request that nobody waits for.
fn leave(target: &str) {
    drop(http::send(target));
}
