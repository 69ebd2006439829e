//! Runs and what they come to.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::BenchError;

/// Runs that count; one more before them warms up.
pub const RUNS: usize = 3;

/// What ended in one run, each with the time that it took.
pub struct Run {
    pub(super) elapsed: Duration,
    /// Time that the process had on all cores together.
    pub(super) cpu: Duration,
    pub(super) latencies: Vec<Duration>,
}

/// Of each figure, the median of the runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Processor time of the whole process for each.
    pub cpu: Duration,
}

impl Figures {
    /// Of each figure, the median of some runs.
    pub fn of(mut runs: Vec<Run>) -> Self {
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
            cpu: Duration::from_secs_f64(median(&|run: &Run| {
                run.cpu.as_secs_f64() / run.latencies.len().max(1) as f64
            })),
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
pub async fn closed_loop<W, F>(at_once: usize, period: Duration, work: W) -> Result<Run, BenchError>
where
    W: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<Duration, BenchError>> + Send,
{
    let watch = Watch::start();
    // Dropped, it ends its tasks.
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let work = work.clone();
        workers.spawn(async move {
            let mut latencies = Vec::new();
            while watch.elapsed() < period {
                latencies.push(work().await?);
            }
            Ok::<_, BenchError>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(worker) = workers.join_next().await {
        latencies.extend(worker.expect("a worker does not panic")?);
    }
    Ok(watch.end(latencies))
}

/// Times a run.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    started: Instant,
    cpu: Duration,
}

impl Watch {
    pub fn start() -> Self {
        Watch { started: Instant::now(), cpu: cpu_time() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn end(self, latencies: Vec<Duration>) -> Run {
        Run { elapsed: self.elapsed(), cpu: cpu_time().saturating_sub(self.cpu), latencies }
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(millis: &[u64]) -> Run {
        let latencies = millis.iter().copied().map(Duration::from_millis).collect();
        Run { elapsed: Duration::from_secs(1), cpu: Duration::from_millis(12), latencies }
    }

    #[track_caller]
    fn check(runs: &[&[u64]], per_second: f64, p50: u64, p99: u64, cpu: u64) {
        let figures = Figures::of(runs.iter().map(|millis| run(millis)).collect());
        let [p50, p99, cpu] = [p50, p99, cpu].map(Duration::from_millis);
        let expected = Figures { per_second, p50, p99, cpu };
        assert_eq!(figures, expected, "{runs:?}");
    }

    #[test]
    fn a_figure_is_the_median_of_its_runs() {
        check(&[&[1], &[5, 5], &[9, 9, 9]], 2.0, 5, 5, 6);
        check(&[&[], &[], &[]], 0.0, 0, 0, 12);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        check(&[&[3, 1, 2]], 3.0, 2, 3, 4);
        let hundred: Vec<u64> = (1..=100).collect();
        let figures = Figures::of(vec![run(&hundred)]);
        assert_eq!((figures.p50, figures.p99), (Duration::from_millis(50), Duration::from_millis(99)));
    }

    #[tokio::test]
    async fn a_failure_of_one_worker_ends_the_run() {
        let failing = || async { Err(BenchError::Stalled { seconds: 1 }) };
        let run = closed_loop(4, Duration::from_secs(60), failing).await;
        assert!(matches!(run, Err(BenchError::Stalled { .. })));
    }
}
