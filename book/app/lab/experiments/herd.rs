//! `lab herd`: how many event loops are woken for one client, and which loop gets the client.
//!
//! Each sample is taken in a fresh process, with the event loops of `reactors` on a poller that
//! counts wake-ups. Clients connect and send nothing, so the loops do nothing but accept.

use anyhow::Result;
use samples::Herd;
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::sample::in_a_process;

const WAYS: [&str; 3] = ["each", "one", "herd"];
/// The ways in which clients arrive: one at a time, or in bursts.
const ARRIVALS: [&str; 2] = ["single", "bursts"];
static LOOPS: Parameter = parameter("loops", &[2, 8], &[2, 4, 8, 16]);
static REPEATS: Parameter = parameter("repeats", &[3], &[5]);
static CLIENTS: Parameter = parameter("clients", &[400], &[800]);
pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "herd",
    question: "Several loops wait for clients: which loop gets one, and how many are woken for it?",
    predict: choice(
        "Eight loops are asleep, all on one listener, with EPOLLEXCLUSIVE. Clients come one at a time. Who gets them?",
        &[
            "each loop about as many",
            "some loops many more than others",
            "always the same loop",
        ],
        |record| {
            let row = [("listeners", "one"), ("loops", "8"), ("arrival", "single")];
            let busiest = record.figure(&row, "busiest")?;
            let option = range(busiest, &[0.2, 0.9]);
            Some((option, format!("one loop gets {:.0} % of them", busiest * 100.0)))
        },
    ),
    parameters: &[&LOOPS, &REPEATS, &CLIENTS],
    parts: &[charted("herd", Kind::Line)],
    ..measured_by(run)
};

#[derive(Serialize)]
struct Row {
    listeners: &'static str,
    loops: usize,
    arrival: &'static str,
    wakes: Summary,
    in_vain: Summary,
    cpu_microseconds: Summary,
    busiest: Summary,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let of = |way| run.list(&LOOPS).iter().map(move |&loops| (way, loops));
    let cells = WAYS.into_iter().flat_map(of);
    let cells =
        cells.flat_map(|(way, loops)| ARRIVALS.map(|arrival| (way, loops, arrival)));
    let name =
        |&(way, loops, arrival): &_| format!("{way}, {loops} loops, clients {arrival}");
    let row = |(way, loops, arrival)| row(run, way, loops, arrival);
    run.rows(cells.collect(), name, row, parts)
}

fn row(
    run: &Run<'_>,
    listeners: &'static str,
    loops: usize,
    arrival: &'static str,
) -> Result<Row> {
    let what = format!("{listeners}-{arrival}-{}", run.one(&CLIENTS));
    let sample = |_| in_a_process(run, &what, loops);
    let samples: Vec<Herd> = (0..run.one(&REPEATS)).map(sample).collect::<Result<_>>()?;
    Ok(Row {
        listeners,
        loops,
        arrival,
        wakes: Summary::over(&samples, |sample| sample.wakes),
        in_vain: Summary::over(&samples, |sample| sample.in_vain),
        cpu_microseconds: Summary::over(&samples, |sample| sample.cpu_microseconds),
        busiest: Summary::over(&samples, |sample| sample.busiest),
    })
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let head = "listeners | >loops | >wake-ups for a client | >processor time for a client | >the busiest loop has, of single clients | >… of clients in bursts";
    let row = |both: &[Row]| {
        let [single, bursts] = both else { return None };
        let Row { listeners, loops, wakes, cpu_microseconds: cpu, busiest, .. } = single;
        Some(format!(
            "`{listeners}` | {loops} | {:.1} | {:.0} µs ({:.0} to {:.0}) | {:.0} % | {:.0} %",
            wakes.median,
            cpu.median,
            cpu.min,
            cpu.max,
            busiest.median * 100.0,
            bursts.busiest.median * 100.0,
        ))
    };
    let table = table(head, rows.chunks(ARRIVALS.len()).filter_map(row));
    let labels = Labels {
        title: "Who gets the clients",
        description: "Three lines over the number of loops: the part of the clients that the busiest loop gets, if they come one at a time. That of one stays at all of them. That of each falls as the number of loops rises, and that of herd falls too, from higher up.",
        x: "loops",
        y: "clients of the busiest loop, %",
    };
    let series = WAYS.map(|name| {
        let single = |row: &&Row| row.listeners == name && row.arrival == ARRIVALS[0];
        let rows = rows.iter().filter(single);
        Series::of(name, rows.map(|row| (row.loops as f64, row.busiest.times(100.0))))
    });
    vec![Part::new("herd", table, Some(Chart::new(Kind::Line, &labels, series)))]
}
