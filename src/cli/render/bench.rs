//! Figures of this machine, side by side.

use super::{Align, Look, Table, duration, plain};
use crate::bench::{
    AtOnce, CHAIN_EVENTS, Figures, HOPS, OF_STORE_CHAINS_MIN, OutsideReport, RUNS, Report, SLOWER_MAX,
    TIMES_STORE_CHAIN_MAX,
};

/// What it was measured on, a line for each figure, and how chains stand against the bare store.
pub fn bench(report: &Report, look: &Look) -> String {
    let (machine, flows) = (&report.machine, &report.flows);
    let (kernel, filesystem, profile) = (&machine.kernel, &machine.filesystem, machine.profile);
    let mut text = format!(
        "{} cores, {kernel}, {filesystem}, {profile} build; 1 KiB events; medians of {RUNS} runs of {} s\n\n",
        machine.cores,
        report.period.as_secs_f64(),
    );
    let mut table = table();
    row(&mut table, "this disk: fdatasync of a page", 1, &report.fdatasync);
    for (store, publish) in report.stores.iter().zip(&flows.publishes) {
        row(&mut table, "bare store: durable event", store.at_once, &store.figures);
        row(&mut table, "tidegate: durable publish", publish.at_once, &publish.figures);
    }
    row(&mut table, "tidegate: one hop (deliver, invoke, settle)", 1, &flows.hop);
    let AtOnce { at_once, figures } = &report.store_chains;
    for (at_once, store, chain) in [(1, &report.store_chain, &flows.chain), (*at_once, figures, &flows.chains.figures)]
    {
        row(&mut table, &format!("bare store: publish and {HOPS} handlers"), at_once, store);
        row(&mut table, &format!("tidegate: publish and {HOPS} hops"), at_once, chain);
    }
    text += &table.render(look);
    let (events, times) = (flows.events_per_second(), report.times_slower());
    text += &format!(
        "\n{HOPS} hops at saturation: {events:.0} events/s ({CHAIN_EVENTS} a chain), {times:.1} times fewer than the bare \
         store takes; at most {SLOWER_MAX} are meant\n"
    );
    let (part, alone, cpu) = (report.of_store_chains(), report.times_store_chain(), duration(report.hop_cpu()));
    text + &format!(
        "against native handlers on the bare store: {part:.2} of the chains (at least {OF_STORE_CHAINS_MIN} are meant), one \
         alone takes {alone:.1} times as long (at most {TIMES_STORE_CHAIN_MAX}); a hop costs {cpu} of processor time\n"
    )
}

/// A line for each figure of a server.
pub fn bench_outside(report: &OutsideReport, look: &Look) -> String {
    let OutsideReport { url, period, flows } = report;
    let seconds = period.as_secs_f64();
    let text = format!("{url}, over HTTP; 1 KiB events; medians of {RUNS} runs of {seconds} s\n\n");
    let mut table = table();
    for publish in &flows.publishes {
        row(&mut table, "publish", publish.at_once, &publish.figures);
    }
    row(&mut table, "one hop", 1, &flows.hop);
    for AtOnce { at_once, figures } in [AtOnce { at_once: 1, figures: flows.chain }, flows.chains] {
        row(&mut table, &format!("publish and {HOPS} hops"), at_once, &figures);
    }
    let events = flows.events_per_second();
    text + &table.render(look)
        + &format!("\n{HOPS} hops at saturation: {events:.0} events/s ({CHAIN_EVENTS} a chain)\n")
}

fn table() -> Table {
    let right = Align::Right;
    Table::new([("", Align::Left), ("AT ONCE", right), ("PER SECOND", right), ("P50", right), ("P99", right)])
}

fn row(table: &mut Table, what: &str, at_once: usize, figures: &Figures) {
    let per_second = format!("{:.0}", figures.per_second);
    let (p50, p99) = (duration(figures.p50), duration(figures.p99));
    table.row([plain(what), plain(at_once), plain(per_second), plain(p50), plain(p99)]);
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::bench::report::tests::report;
    use crate::clock::Timestamp;

    #[test]
    fn figures_stand_beside_the_limits_of_the_machine() {
        let look = Look { colour: false, width: 100, now: Timestamp::EPOCH };
        expect![[r#"
            2 cores, Linux 6.18.5, ext4, release build; 1 KiB events; medians of 3 runs of 1 s

                                                         AT ONCE  PER SECOND     P50     P99
            this disk: fdatasync of a page                     1        7800   78 µs  780 µs
            bare store: durable event                          1        5000   50 µs  500 µs
            tidegate: durable publish                          1        4000   40 µs  400 µs
            bare store: durable event                         16       19000  190 µs  1.9 ms
            tidegate: durable publish                         16       15000  150 µs  1.5 ms
            bare store: durable event                        256       42000  420 µs  4.2 ms
            tidegate: durable publish                        256       30000  300 µs  3.0 ms
            tidegate: one hop (deliver, invoke, settle)        1        2000   20 µs  200 µs
            bare store: publish and 5 handlers                 1         400    4 µs   40 µs
            tidegate: publish and 5 hops                       1         500    5 µs   50 µs
            bare store: publish and 5 handlers               256        5000   50 µs  500 µs
            tidegate: publish and 5 hops                     256        2500   25 µs  250 µs

            5 hops at saturation: 15000 events/s (6 a chain), 2.8 times fewer than the bare store takes; at most 5 are meant
            against native handlers on the bare store: 0.50 of the chains (at least 0.4 are meant), one alone takes 1.3 times as long (at most 1.3); a hop costs 100 µs of processor time
        "#]]
        .assert_eq(&bench(&report(), &look));
    }
}
