//! `lab report`: one page of everything that the reader has run, in target/lab/report.html.
//! It needs no other file, follows the browser's theme, and can be printed and handed in.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::chart::{Series, escaped};
use super::experiment::Experiment;
use super::prediction::{Answer, Form, Given, predictions};
use super::record::{Mode, Part, Record, own, recorded};
use super::registry::EXPERIMENTS;
use super::verdict::Verdict;
use crate::house::House;

/// The figures' classes, and their colours by day and by night.
const BOOK: &str = include_str!("../../style/book.css");
const OWN: &str = include_str!("report.css");

/// Writes the page.
pub(super) fn command(house: &House) -> Result<()> {
    let page = page(house)?;
    let path = own(house).join("report.html");
    fs::create_dir_all(own(house))?;
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

fn page(house: &House) -> Result<String> {
    let predictions = predictions(house)?;
    let (mut sections, mut missing, mut machine) = (String::new(), Vec::new(), None);
    for experiment in EXPERIMENTS {
        match Record::read(&own(house), experiment.name)? {
            Some(record) => {
                let book = Record::read(&recorded(house), experiment.name)?;
                let given = predictions.get(experiment.name);
                sections += &section(experiment, &record, book.as_ref(), given);
                machine = Some(record.machine);
            }
            None => missing.push(format!("<code>{}</code>", experiment.name)),
        }
    }
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Lab report: Ten Thousand Clients</title>\n<style>\n{BOOK}\n{OWN}</style>\n</head>\n\
         <body class=\"content\">\n<h1>Lab report: Ten Thousand Clients</h1>\n"
    );
    // Writing to a String cannot fail.
    match machine {
        Some(machine) => {
            let _ = writeln!(page, "<table>\n<caption>The machine</caption>");
            for (name, value) in machine.facts() {
                let value = escaped(&value);
                let _ = writeln!(
                    page,
                    "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
                );
            }
            page += "</table>\n<p>In the charts the result of this machine lies over the one that is recorded in the book, which is grey and dotted.</p>\n";
        }
        None => {
            page += "<p>Nothing has been measured yet: <code>cargo run --release -- lab</code> lists what can be.</p>\n";
        }
    }
    page += &sections;
    if !missing.is_empty() {
        let _ = writeln!(page, "<p class=\"soft\">Not run: {}.</p>", missing.join(", "));
    }
    Ok(page + "</body>\n</html>\n")
}

fn section(
    experiment: &Experiment,
    record: &Record,
    book: Option<&Record>,
    given: Option<&Given>,
) -> String {
    let mut text = format!(
        "<section id=\"{0}\">\n<h2>{0}</h2>\n<p>{1}</p>\n",
        experiment.name,
        escaped(experiment.question)
    );
    text += &prediction(experiment, given, record);
    for part in &record.parts {
        let mut part = part.clone();
        predicted(experiment, given, &mut part);
        if let (Some(chart), Some(svg)) = (&part.chart, record.drawn(&part, book)) {
            let _ = writeln!(
                text,
                "<figure>\n{svg}<figcaption>{}. {}</figcaption>\n</figure>",
                escaped(&chart.title),
                chart.caption()
            );
        }
        let _ = writeln!(text, "<div class=\"wide-table\">\n{}</div>", part.html());
    }
    let mode = match record.mode {
        Some(Mode::Full) => "in full",
        _ => "a quick run",
    };
    let _ = writeln!(
        text,
        "<p class=\"soft\"><code>{}</code>, {mode}, {}, on {}; commit {}.</p>\n</section>",
        escaped(&record.command),
        escaped(record.when.as_deref().unwrap_or("at a time that is not known")),
        escaped(&record.machine.to_string()),
        escaped(record.machine.commit())
    );
    text
}

/// What was asked, what the reader said, and what this machine says.
fn prediction(experiment: &Experiment, given: Option<&Given>, record: &Record) -> String {
    let when = match given {
        Some(given) => format!("Predicted: {}.", given.when),
        None => "No prediction was made.".to_owned(),
    };
    format!(
        "<div class=\"prediction\">\n<p>{}</p>\n{}<p class=\"soft\">{}</p>\n</div>\n",
        escaped(experiment.predict.ask),
        Verdict::of(experiment, given, Some(record)).html(),
        escaped(&when)
    )
}

/// A curve that was predicted is drawn into its chart.
fn predicted(experiment: &Experiment, given: Option<&Given>, part: &mut Part) {
    let Form::Curve { chart: name, line } = experiment.predict.form else { return };
    let Some(Given { prediction: Answer::Curve(points), .. }) = given else { return };
    if let Some(chart) = part.chart.as_mut().filter(|_| part.name == name) {
        let drawn = Series::plain(&format!("{line}, predicted"), points.iter().copied());
        chart.series.push(Series { published: true, ..drawn });
    }
}
