//! Scripts for the debugger, and what they print.

use std::io::Cursor;

use expect_test::{Expect, expect};

use super::*;
use crate::host::Host;
use crate::invoke::testing::{Stage, guests, invoice};

/// Runs a script on an invocation of the guest `invoice`.
async fn run(ty: &str, component: &[u8], script: &str) -> (String, Result<(), CliError>) {
    let stage = Stage::new();
    let delivery = stage.delivery(ty, "ana 3 4 5");
    let make_host = || Host::live(stage.world(), &delivery);
    let mut session = Session::open(component, &delivery.event, make_host).await.unwrap();
    let lines = Box::new(Cursor::new(script.to_owned()));
    let commands = Commands { name: "script".to_owned(), lines, typed: false };
    let mut printed = Vec::new();
    let ended = debug(&mut session, commands, Sources::new(None), &mut printed).await;
    (String::from_utf8(printed).unwrap(), ended)
}

async fn check(ty: &str, script: &str, expected: Expect) {
    let (printed, ended) = run(ty, invoice(), script).await;
    ended.unwrap();
    expected.assert_eq(&printed);
}

#[tokio::test]
async fn a_script_goes_to_the_wrong_line_and_back_and_says_what_is_there() {
    let script = "# the loop, twice\nbreak total\nc\nn 6\nlocals\nprint sum\nb\n\nback continue\nstack\nup\neffects\n";
    check("test.total", script, expect![[r#"
        the invocation completes; emitted: 1; effects: 2; `help` lists the commands
        at 280 of 774  invoice::wasi::keyvalue::store::Bucket::handle  tests/guests/invoice/src/lib.rs:7
                4
                5  #![cfg(target_arch = "wasm32")]
                6
          ->    7  wit_bindgen::generate!({ path: "../../../wit", world: "function", generate_all });
                8
                9  use wasi::keyvalue::store;
               10
          effects: 0 of 2, next is key-get {"key":"invoices","space":"counts"}
        (debug) break total
        breakpoint 1: total at tests/guests/invoice/src/lib.rs:60
        (debug) c
        at 294 of 774  invoice::total  tests/guests/invoice/src/lib.rs:60
               57  }
               58
               59  fn total(owed: &Owed) -> i64 {
          ->   60      let name = owed.customer.as_str();
               61      let mut sum: i64 = -1;
               62      let mut index = 0;
               63      while index + 1 < owed.prices.len() {
          effects: 1 of 2, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        (debug) n 6
        at 304 of 774  invoice::total  tests/guests/invoice/src/lib.rs:66
               63      while index + 1 < owed.prices.len() {
               64          let price = owed.prices[index]; // the loop
               65          sum += i64::from(price);
          ->   66          index += 1; // the wrong step
               67      }
               68      let due = !owed.paid;
               69      if due && !name.is_empty() { sum - i64::from(owed.discount.unwrap_or(0)) } else { 0 } // the sum
          effects: 1 of 2, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        (debug) locals
          owed = &Owed { customer: "ana", prices: [3, 4, 5], discount: None, paid: false }
          name = "ana"
          sum = 2
          index = 0
          price = 3
        (debug) print sum
        sum = 2
        (debug) b
        at 303 of 774  invoice::total  tests/guests/invoice/src/lib.rs:65
               62      let mut index = 0;
               63      while index + 1 < owed.prices.len() {
               64          let price = owed.prices[index]; // the loop
          ->   65          sum += i64::from(price);
               66          index += 1; // the wrong step
               67      }
               68      let due = !owed.paid;
          effects: 1 of 2, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        at 300 of 774  invoice::total  tests/guests/invoice/src/lib.rs:64
               61      let mut sum: i64 = -1;
               62      let mut index = 0;
               63      while index + 1 < owed.prices.len() {
          ->   64          let price = owed.prices[index]; // the loop
               65          sum += i64::from(price);
               66          index += 1; // the wrong step
               67      }
          effects: 1 of 2, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        (debug) back continue
        at 294 of 774  invoice::total  tests/guests/invoice/src/lib.rs:60
               57  }
               58
               59  fn total(owed: &Owed) -> i64 {
          ->   60      let name = owed.customer.as_str();
               61      let mut sum: i64 = -1;
               62      let mut index = 0;
               63      while index + 1 < owed.prices.len() {
          effects: 1 of 2, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        (debug) stack
        ->   0  invoice::total  tests/guests/invoice/src/lib.rs:60
             1  <invoice::Invoice as invoice::Guest>::handle  tests/guests/invoice/src/lib.rs:32
             2  invoice::_export_handle_cabi  tests/guests/invoice/src/lib.rs:7
             3  handle  tests/guests/invoice/src/lib.rs:7
        (debug) up
        at 294 of 774  <invoice::Invoice as invoice::Guest>::handle  tests/guests/invoice/src/lib.rs:32
               29          let counts = store::open("counts").map_err(|error| Failure::Reject(error.to_string()))?;
               30          let before = counts.get("invoices"); // first effect
               31          let number = before.ok().flatten().map_or(1, |number| number[0] + 1);
          ->   32          let cents = total(&owed); // the call
               33          counts.set("invoices", &[number]).map_err(|error| Failure::Reject(error.to_string()))?; // second effect
               34          if event.type_ == "test.overdraw" {
               35              let last = owed.prices[owed.prices.len() + number as usize]; // the trap
          effects: 1 of 2, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        (debug) effects
            1  key-get {"key":"invoices","space":"counts"} -> "value"
        next  2  key-set {"key":"invoices","space":"counts","value":"\u0001"}
    "#]]).await;
}

#[tokio::test]
async fn a_script_goes_to_a_trap() {
    check("test.overdraw", "end\nlocals\nback next\neffect 2\nm 0x100000 20\nq\nnever read", expect![[r#"
        the invocation fails: trapped panicked at tests/guests/invoice/src/lib.rs:35:35: index out of bounds: the len is 3 but the index is 4; effects: 5; `help` lists the commands
        at 280 of 482  invoice::wasi::keyvalue::store::Bucket::handle  tests/guests/invoice/src/lib.rs:7
                4
                5  #![cfg(target_arch = "wasm32")]
                6
          ->    7  wit_bindgen::generate!({ path: "../../../wit", world: "function", generate_all });
                8
                9  use wasi::keyvalue::store;
               10
          effects: 0 of 5, next is key-get {"key":"invoices","space":"counts"}
        (debug) end
        at 482 of 482, where it fails: trapped panicked at tests/guests/invoice/src/lib.rs:35:35: index out of bounds: the len is 3 but the index is 4
        <invoice::Invoice as invoice::Guest>::handle  tests/guests/invoice/src/lib.rs:35
               32          let cents = total(&owed); // the call
               33          counts.set("invoices", &[number]).map_err(|error| Failure::Reject(error.to_string()))?; // second effect
               34          if event.type_ == "test.overdraw" {
          ->   35              let last = owed.prices[owed.prices.len() + number as usize]; // the trap
               36              return Err(Failure::Reject(format!("the last price is {last}")));
               37          }
               38          Ok(vec![done(format!("{} owes {cents}", owed.customer))])
          effects: 5 of 5, no more come
        (debug) locals
          event = Event { id: "1", source: "/tests", specversion: "1.0", type_: "test.overdraw", subject: None, time: None, datacontenttype: None, dataschema: None, extensions: [], data: Some(b"ana 3 4 5"), origin: Some(Origin { kind: "api", name: "tester", verified: true }) }
          owed = Owed { customer: "ana", prices: [3, 4, 5], discount: None, paid: false }
          counts = Bucket { handle: Resource<invoice::wasi::keyvalue::store::Bucket> { handle: AtomicU32 { v: UnsafeCell<u32> { .. } }, _marker: PhantomData<invoice::wasi::keyvalue::store::Bucket> } }
          before = Ok(None)
          number = 1
          cents = 6
        (debug) back next
        at 338 of 482  <invoice::Invoice as invoice::Guest>::handle  tests/guests/invoice/src/lib.rs:35
               32          let cents = total(&owed); // the call
               33          counts.set("invoices", &[number]).map_err(|error| Failure::Reject(error.to_string()))?; // second effect
               34          if event.type_ == "test.overdraw" {
          ->   35              let last = owed.prices[owed.prices.len() + number as usize]; // the trap
               36              return Err(Failure::Reject(format!("the last price is {last}")));
               37          }
               38          Ok(vec![done(format!("{} owes {cents}", owed.customer))])
          effects: 2 of 5, next is log {"context":"stderr","level":"warn","message":"thread '<unnamed>' (1) panicked at tests/guests/invoice/src/lib.rs:35:35:"}
        (debug) effect 2
        at 332 of 482  invoice::wasi::keyvalue::store::Bucket::set  tests/guests/invoice/src/lib.rs:7
                4
                5  #![cfg(target_arch = "wasm32")]
                6
          ->    7  wit_bindgen::generate!({ path: "../../../wit", world: "function", generate_all });
                8
                9  use wasi::keyvalue::store;
               10
          effects: 1 of 5, next is key-set {"key":"invoices","space":"counts","value":"\u0001"}
        (debug) m 0x100000 20
          0x00100000  61 20 44 69 73 70 6c 61 79 20 69 6d 70 6c 65 6d  a Display implem
          0x00100010  65 6e 74 61                                      enta
        (debug) q
    "#]]).await;
}

#[tokio::test]
async fn a_wrong_command_ends_a_script_with_its_line() {
    for (script, names) in [
        ("where\n\nnxt", "script:3: no command is named \"nxt\"; the nearest is next"),
        ("break nowhere", "script:1: no function is named \"nowhere\""),
        ("frame 99", "script:1: the stack ends there"),
        ("end\nlocals", "script:2: the invocation has ended"),
        ("effect 9", "script:1: there is no effect 9; there are 2"),
        ("delete 1", "script:1: there is no breakpoint 1"),
        ("print nothing", "script:1: no variable is named \"nothing\""),
        ("memory 0xffffffff", "script:1: 0xffffffff is outside of the guest's memory"),
    ] {
        let (_, ended) = run("test.total", invoice(), script).await;
        let told = ended.unwrap_err().to_string();
        assert!(told.starts_with(names), "{script:?}: {told}");
    }
}

#[tokio::test]
async fn a_component_without_debug_information_is_debugged_by_names_and_offsets() {
    let (printed, ended) = run("test.echo", guests::hostile(), "break handle\nb\nc\nlocals\nstack").await;
    ended.unwrap();
    for part in ["tidegate build --debug-info", "handle  0x", "local 0 = "] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
}
