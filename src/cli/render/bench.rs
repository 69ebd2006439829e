//! Figures of this machine, side by side.

use super::{Align, Look, Table, duration, plain};
use crate::bench::{
    AtOnce, CHAIN_EVENTS, Figures, HOPS, OF_STORE_CHAINS_MIN, RUNS, Report, SLOWER_MAX, TIMES_STORE_CHAIN_MAX,
};

/// What it was measured on, a line for each figure, and how chains stand against the bare store.
pub fn bench(report: &Report, look: &Look) -> String {
    let machine = &report.machine;
    let (kernel, filesystem, profile) = (&machine.kernel, &machine.filesystem, machine.profile);
    let mut text = format!(
        "{} cores, {kernel}, {filesystem}, {profile} build; 1 KiB events; medians of {RUNS} runs of {} s\n\n",
        machine.cores,
        report.period.as_secs_f64(),
    );
    let right = Align::Right;
    let heading = [("", Align::Left), ("AT ONCE", right), ("PER SECOND", right), ("P50", right), ("P99", right)];
    let mut table = Table::new(heading);
    let mut row = |what: &str, at_once: usize, figures: &Figures| {
        let per_second = format!("{:.0}", figures.per_second);
        table.row([
            plain(what),
            plain(at_once),
            plain(per_second),
            plain(duration(figures.p50)),
            plain(duration(figures.p99)),
        ]);
    };
    row("this disk: fdatasync of a page", 1, &report.fdatasync);
    for (store, publish) in report.stores.iter().zip(&report.publishes) {
        row("bare store: durable event", store.at_once, &store.figures);
        row("tidegate: durable publish", publish.at_once, &publish.figures);
    }
    row("tidegate: one hop (deliver, invoke, settle)", 1, &report.hop);
    let AtOnce { at_once, figures } = &report.store_chains;
    for (at_once, store, chain) in
        [(1, &report.store_chain, &report.chain), (*at_once, figures, &report.chains.figures)]
    {
        row(&format!("bare store: {CHAIN_EVENTS} events in a row"), at_once, store);
        row(&format!("tidegate: publish and {HOPS} hops"), at_once, chain);
    }
    text += &table.render(look);
    let (events, times) = (report.events_per_second(), report.times_slower());
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
            bare store: 6 events in a row                      1         400    4 µs   40 µs
            tidegate: publish and 5 hops                       1         500    5 µs   50 µs
            bare store: 6 events in a row                    256        5000   50 µs  500 µs
            tidegate: publish and 5 hops                     256        2500   25 µs  250 µs

            5 hops at saturation: 15000 events/s (6 a chain), 2.8 times fewer than the bare store takes; at most 5 are meant
            against native handlers on the bare store: 0.50 of the chains (at least 0.4 are meant), one alone takes 1.3 times as long (at most 1.3); a hop costs 100 µs of processor time
        "#]]
        .assert_eq(&bench(&report(), &look));
    }
}
