//! `cargo bench`: the bare store alone, under 1, 16 and 256 producers, on the disk of the current folder.

use std::process::ExitCode;
use std::time::Duration;

use tidegate::bench::{self, BenchError, PRODUCERS};

const PERIOD: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("the system has room for a few threads");
    match runtime.block_on(measure()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), BenchError> {
    let folder = tempfile::tempdir_in(".").expect("the current folder can be written");
    for producers in PRODUCERS {
        let figures = bench::measure_store(folder.path(), producers, PERIOD).await?;
        println!(
            "{producers:>3} producers: {:>7.0} durable events/s, p50 {:>6} us, p99 {:>6} us",
            figures.per_second,
            figures.p50.as_micros(),
            figures.p99.as_micros()
        );
    }
    Ok(())
}
