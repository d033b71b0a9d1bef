//! `lab report`: one page with all of the reader's own results, in target/lab/report.html. The
//! page needs no other file, follows the browser's theme, and can be printed and handed in.

use std::fmt::Write;

use anyhow::Result;
use figures::chart::{Series, YOU};
use figures::text::escaped;
use manuscript::files::replace;

use super::experiment::Experiment;
use super::experiments::EXPERIMENTS;
use super::model::prediction::{Answer, Form, StoredPrediction, predictions};
use super::model::record::{Mode, Part, Record};
use super::pages;
use super::verdict::Verdict;
use crate::paths::Paths;

/// The book's style sheet, which has the charts' classes with their light and dark colors.
const BOOK: &str = include_str!("../../style/book.css");
/// The report's own style sheet.
const OWN: &str = include_str!("report.css");

/// Writes the report, and prints the path of the report's file.
pub(super) fn write(paths: &Paths) -> Result<()> {
    let path = paths.own().join("report.html");
    replace(&path, &page(paths)?)?;
    println!("written to {}", path.display());
    Ok(())
}

fn page(paths: &Paths) -> Result<String> {
    let predictions = predictions(paths)?;
    let (mut sections, mut missing, mut machine) = (String::new(), Vec::new(), None);
    for experiment in EXPERIMENTS {
        match Record::read(&paths.own(), experiment.name)? {
            Some(record) => {
                let book = Record::read(&paths.recorded(), experiment.name)?;
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
    match machine {
        Some(machine) => {
            page += "<table>\n<caption>The machine</caption>\n";
            for (name, value) in machine.facts() {
                let value = escaped(&value);
                page +=
                    &format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n");
            }
            page += "</table>\n<p>In the charts the result of this machine lies over the one that is recorded in the book, which is grey and dotted.</p>\n";
        }
        None => {
            page += "<p>Nothing has been measured yet: <code>cargo run --release -- lab</code> lists what can be.</p>\n";
        }
    }
    page += &sections;
    if !missing.is_empty() {
        page += &format!("<p class=\"soft\">Not run: {}.</p>\n", missing.join(", "));
    }
    Ok(page + "</body>\n</html>\n")
}

fn section(
    experiment: &Experiment,
    record: &Record,
    book: Option<&Record>,
    given: Option<&StoredPrediction>,
) -> String {
    let Experiment { name, question, predict, .. } = experiment;
    let when = match given {
        Some(given) => format!("Predicted: {}.", given.when),
        None => "No prediction was made.".to_owned(),
    };
    let mut text = format!(
        "<section id=\"{name}\">\n<h2>{name}</h2>\n<p>{}</p>\n\
         <div class=\"prediction\">\n<p>{}</p>\n{}<p class=\"soft\">{}</p>\n</div>\n",
        escaped(question),
        escaped(predict.ask),
        Verdict::of(experiment, given, Some(record)).html(),
        escaped(&when)
    );
    for part in &record.parts {
        let mut part = part.clone();
        draw_prediction(experiment, given, &mut part);
        if let (Some(chart), Some(svg)) = (&part.chart, pages::chart(&part, book)) {
            let (title, caption) = (escaped(&chart.title), chart.caption());
            text += &format!(
                "<figure>\n{svg}<figcaption>{title}. {caption}</figcaption>\n</figure>\n"
            );
        }
        text += &format!("<div class=\"wide-table\">\n{}</div>\n", pages::table(&part));
    }
    let mode = match record.mode {
        Some(Mode::Full) => "in full",
        _ => "a quick run",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "<p class=\"soft\"><code>{}</code>, {mode}, {}, on {}; commit {}.</p>\n</section>",
        escaped(&record.command),
        escaped(record.when.as_deref().unwrap_or("at a time that is not known")),
        escaped(&record.machine.to_string()),
        escaped(&record.machine.commit)
    );
    text
}

/// Adds the reader's predicted curve to the part's chart. Changes nothing if `given` is not a
/// curve, or if the experiment asks for a curve in another part's chart.
fn draw_prediction(
    experiment: &Experiment,
    given: Option<&StoredPrediction>,
    part: &mut Part,
) {
    let Form::Curve { chart: name, .. } = experiment.predict.form else { return };
    let Some(Answer::Curve(points)) = given.map(|given| &given.prediction) else {
        return;
    };
    if let Some(chart) = part.chart.as_mut().filter(|_| part.name == name) {
        chart.series.push(Series::published(YOU, points.iter().copied()));
    }
}
