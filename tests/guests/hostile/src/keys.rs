//! Key-value: what the data says, in the space `counts`; what another guest emitted is counted in the space `done`.

use crate::wasi::keyvalue::{atomics, batch, store};
use crate::{Event, Failure, done};

pub fn handle(kind: &str, text: &str) -> Result<Vec<Event>, Failure> {
    match kind {
        "test.count" => count("counts", text),
        "test.done" => count("done", "done"),
        "test.increment" => increment(text),
        "test.own-writes" => own_writes(),
        "test.list" => list(),
        "test.batch" => in_batches(),
        "test.write-then-trap" => {
            open("counts").set(text, b"written").map_err(told)?;
            core::arch::wasm32::unreachable()
        }
        "test.write-many" => write_many(text.parse().unwrap_or(1)),
        "test.write-long" => Ok(vec![done(format!("{:?}", open("counts").set(&"k".repeat(513), b"")))]),
        "test.write-large" => Ok(vec![done(format!("{:?}", open("counts").set("k", &vec![0; 256 * 1024 + 1])))]),
        "test.read-elsewhere" => Ok(vec![done(format!("{:?}", open(text).get("k")))]),
        "test.write-elsewhere" => Ok(vec![done(format!("{:?}", open(text).set("k", b"v")))]),
        other => Err(Failure::Reject(format!("the test guest knows no {other}"))),
    }
}

fn open(space: &str) -> store::Bucket {
    store::open(space).expect("opening never fails")
}

fn told(error: store::Error) -> Failure {
    Failure::Reject(format!("{error:?}"))
}

/// Reads a key, adds one, writes it: two of these at once must not lose a count.
fn count(space: &str, key: &str) -> Result<Vec<Event>, Failure> {
    let bucket = open(space);
    let before = bucket.get(key).map_err(told)?.unwrap_or_else(|| b"0".to_vec());
    let after = String::from_utf8_lossy(&before).parse::<u64>().unwrap_or_default() + 1;
    bucket.set(key, after.to_string().as_bytes()).map_err(told)?;
    Ok(vec![done(after.to_string())])
}

fn increment(key: &str) -> Result<Vec<Event>, Failure> {
    let sum = atomics::increment(&open("counts"), key, 2).map_err(told)?;
    Ok(vec![done(sum.to_string())])
}

fn own_writes() -> Result<Vec<Event>, Failure> {
    let bucket = open("counts");
    bucket.set("a", b"1").map_err(told)?;
    let written = bucket.get("a").map_err(told)?;
    bucket.delete("a").map_err(told)?;
    let deleted = bucket.exists("a").map_err(told)?;
    Ok(vec![done(format!("{written:?} {deleted}"))])
}

fn list() -> Result<Vec<Event>, Failure> {
    let bucket = open("counts");
    bucket.set("b-own", b"1").map_err(told)?;
    bucket.delete("c").map_err(told)?;
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let page = bucket.list_keys(cursor).map_err(told)?;
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(vec![done(keys.join(" "))]);
        }
    }
}

fn in_batches() -> Result<Vec<Event>, Failure> {
    let bucket = open("counts");
    let pairs = [("x".to_owned(), b"1".to_vec()), ("y".to_owned(), b"2".to_vec())];
    batch::set_many(&bucket, &pairs).map_err(told)?;
    batch::delete_many(&bucket, &["y".to_owned()]).map_err(told)?;
    let read = batch::get_many(&bucket, &["x".to_owned(), "y".to_owned()]).map_err(told)?;
    Ok(vec![done(format!("{read:?}"))])
}

fn write_many(keys: u32) -> Result<Vec<Event>, Failure> {
    let bucket = open("counts");
    for key in 0..keys {
        bucket.set(&format!("k{key}"), b"").map_err(told)?;
    }
    Ok(Vec::new())
}
