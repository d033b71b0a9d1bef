//! The plan of a course of twelve weeks: the pages that are read from front to back, divided so
//! that every week takes about the same time. The time for a page includes its steps: the
//! programming tasks of the course that the page explains.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use figures::text::table as markdown;
use manuscript::files::read;
use manuscript::pages::{Page, Pages};
use serde::Deserialize;

use super::reading_time::{minutes, time};
use crate::paths::Paths;

const WEEKS: usize = 12;
/// The last page that the students of a course read. The pages after it are for looking things up,
/// or for the curious.
const LAST: &str = "the-end.md";

/// The steps (programming tasks) of one track of the course, as the track's file lists them.
#[derive(Deserialize)]
struct Track {
    steps: Vec<Step>,
}

/// The properties of a step that the plan of a course's weeks needs.
#[derive(Deserialize)]
struct Step {
    /// The page that explains the step, with an anchor.
    page: String,
    minutes: u64,
}

/// A number of steps, and the minutes that they take together.
#[derive(Clone, Copy, Default)]
struct Steps {
    number: u64,
    minutes: u64,
}

/// A page, with the time to read it, and its steps in the main and in the deep track.
struct Load<'a> {
    page: &'a Page,
    /// Minutes to read the page and to run its experiments.
    reading: u64,
    main: Steps,
    deep: Steps,
}

impl Load<'_> {
    /// Returns the minutes that every student needs for the page and its steps in the main track.
    /// Steps in the deep track are optional.
    fn minutes(&self) -> u64 {
        self.reading + self.main.minutes
    }
}

/// Returns the number and the minutes of a track's steps for each page, by the name of the page's
/// file.
fn steps(paths: &Paths, track: &str) -> Result<BTreeMap<String, Steps>> {
    let file = paths.checkout().join("tests/course").join(track);
    let track: Track = toml::from_str(&read(&file)?)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let mut all: BTreeMap<String, Steps> = BTreeMap::new();
    for step in track.steps {
        let page = step.page.split('#').next().unwrap_or_default().to_owned();
        let of_page = all.entry(page).or_default();
        of_page.number += 1;
        of_page.minutes += step.minutes;
    }
    Ok(all)
}

/// Divides `loads` into `weeks` consecutive parts of nearly equal length: the sum of the squares of
/// the parts' minutes is the least possible.
fn divide<'a, 'b>(loads: &'b [Load<'a>], weeks: usize) -> Vec<&'b [Load<'a>]> {
    let square = |part: &[Load<'_>]| part.iter().map(Load::minutes).sum::<u64>().pow(2);
    // `best[end]` is the best division of the first `end` pages into the weeks so far: the sum of
    // the squares, and the end of each week.
    let mut best: Vec<(u64, Vec<usize>)> =
        (0..=loads.len()).map(|end| (square(&loads[..end]), vec![end])).collect();
    for _ in 1..weeks {
        best = (0..=loads.len())
            .map(|end| {
                let with_last_from = |begin: usize| {
                    let (sum, ends) = &best[begin];
                    (sum + square(&loads[begin..end]), [ends.as_slice(), &[end]].concat())
                };
                (0..=end).map(with_last_from).min().unwrap_or_default()
            })
            .collect();
    }
    let (_, ends) = &best[loads.len()];
    let begins = [0].into_iter().chain(ends.iter().copied());
    begins.zip(ends).map(|(begin, &end)| &loads[begin..end]).collect()
}

/// Returns a table with a row for each week: its pages, the time to read them, and the number and
/// time of their steps.
pub(super) fn table(paths: &Paths, pages: &Pages) -> Result<String> {
    let (main, deep) = (steps(paths, "main.toml")?, steps(paths, "deep.toml")?);
    let last =
        pages.0.iter().position(|page| page.file == LAST).context("a last page")?;
    let loads: Vec<Load<'_>> = pages.0[..=last]
        .iter()
        .map(|page| {
            let of = |track: &BTreeMap<_, Steps>| {
                track.get(&page.file).copied().unwrap_or_default()
            };
            Load { page, reading: minutes(page)[1], main: of(&main), deep: of(&deep) }
        })
        .collect();
    let weeks = divide(&loads, WEEKS);
    let row = |(at, week): (usize, &&[Load<'_>])| {
        let titles: Vec<String> = week
            .iter()
            .map(|load| format!("[{}]({})", load.page.title, load.page.file))
            .collect();
        let sum = |part: fn(&Load<'_>) -> u64| week.iter().map(part).sum::<u64>();
        let (reading, steps) = (sum(|load| load.reading), sum(|load| load.main.minutes));
        format!(
            "{} | {} | {} | {} | {} | {}",
            at + 1,
            titles.join("<br>"),
            time(reading),
            sum(|load| load.main.number),
            if steps == 0 { "–".to_owned() } else { time(steps) },
            sum(|load| load.deep.number),
        )
    };
    let rows: Vec<String> = weeks.iter().enumerate().map(row).collect();
    Ok(markdown(
        "week | pages | >reading and experiments | >steps | >time for them | >deep steps",
        rows,
    ))
}
