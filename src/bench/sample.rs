//! Runs and what they come to.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::BenchError;

/// Runs that count; one more before them warms up.
pub const RUNS: usize = 3;

/// What ended in one run, each with the time that it took.
pub(super) struct Run {
    pub elapsed: Duration,
    pub latencies: Vec<Duration>,
}

/// Of each figure, the median of the runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Figures {
    fn of(mut runs: Vec<Run>) -> Self {
        for run in &mut runs {
            run.latencies.sort_unstable();
        }
        let median = |figure: &dyn Fn(&Run) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let percentile = |percent| {
            let seconds = median(&|run: &Run| percentile(&run.latencies, percent).as_secs_f64());
            Duration::from_secs_f64(seconds)
        };
        Figures {
            per_second: median(&|run: &Run| run.latencies.len() as f64 / run.elapsed.as_secs_f64()),
            p50: percentile(50),
            p99: percentile(99),
        }
    }
}

/// The value that `percent` of the sorted values do not pass; zero if there are none.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Warms up, then runs as often as counts.
pub(super) async fn measure(mut run: impl AsyncFnMut() -> Result<Run, BenchError>) -> Result<Figures, BenchError> {
    run().await?;
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        runs.push(run().await?);
    }
    Ok(Figures::of(runs))
}

/// One run of `at_once` workers, each of which begins anew as soon as it is done. `work` answers how long it took.
pub(super) async fn closed_loop<W, F>(at_once: usize, period: Duration, work: W) -> Result<Run, BenchError>
where
    W: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<Duration, BenchError>> + Send,
{
    let started = Instant::now();
    // Dropped, it ends its tasks.
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let work = work.clone();
        workers.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < period {
                latencies.push(work().await?);
            }
            Ok::<_, BenchError>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(worker) = workers.join_next().await {
        latencies.extend(worker.expect("a worker does not panic")?);
    }
    Ok(Run { elapsed: started.elapsed(), latencies })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(millis: &[u64]) -> Run {
        Run { elapsed: Duration::from_secs(1), latencies: millis.iter().copied().map(Duration::from_millis).collect() }
    }

    #[track_caller]
    fn check(runs: &[&[u64]], per_second: f64, p50: u64, p99: u64) {
        let figures = Figures::of(runs.iter().map(|millis| run(millis)).collect());
        let expected = Figures { per_second, p50: Duration::from_millis(p50), p99: Duration::from_millis(p99) };
        assert_eq!(figures, expected, "{runs:?}");
    }

    #[test]
    fn a_figure_is_the_median_of_its_runs() {
        check(&[&[1], &[5, 5], &[9, 9, 9]], 2.0, 5, 5);
        check(&[&[], &[], &[]], 0.0, 0, 0);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        check(&[&[3, 1, 2]], 3.0, 2, 3);
        let hundred: Vec<u64> = (1..=100).collect();
        check(&[&hundred], 100.0, 50, 99);
    }

    #[tokio::test]
    async fn a_failure_of_one_worker_ends_the_run() {
        let failing = || async { Err(BenchError::Stalled { seconds: 1 }) };
        let run = closed_loop(4, Duration::from_secs(60), failing).await;
        assert!(matches!(run, Err(BenchError::Stalled { .. })));
    }
}
