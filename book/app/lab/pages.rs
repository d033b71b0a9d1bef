//! Tables and charts of records, for pages. The files in book/src/generated/ are drawn from
//! the records in book/results/, and a check compares the two.

use std::collections::BTreeMap;

use anyhow::Result;
use figures::draw;
use figures::text::{keep_units, time_in_words};
use manuscript::files::{files, replace, stem};
use pulldown_cmark::{Options, Parser, html};

use super::model::record::{Part, Record};
use crate::paths::Paths;

/// Returns the table of a result's part, in HTML.
pub(super) fn table(part: &Part) -> String {
    let mut out = String::new();
    let table = keep_units(&part.table);
    html::push_html(&mut out, Parser::new_ext(&table, Options::ENABLE_TABLES));
    out
}

/// Returns the chart of a result's part as SVG, or `None` if the part has no chart. If the record
/// `over` contains the same chart, the part's chart is drawn over the recorded one.
pub(super) fn chart(part: &Part, over: Option<&Record>) -> Option<String> {
    let recorded = over.and_then(|other| other.chart(&part.name));
    Some(draw::svg(part.chart.as_ref()?, &part.name, recorded))
}

/// Returns the names and contents of the files that pages include for a record.
fn pages(record: &Record) -> Vec<(String, String)> {
    let Record { experiment, command, machine, seconds, .. } = record;
    let took = seconds
        .map_or_else(String::new, |seconds| format!(" in {}", time_in_words(seconds)));
    let mut files = Vec::new();
    for part in &record.parts {
        let (name, table) = (&part.name, keep_units(&part.table));
        // The page's script learns from the attribute `data-experiment` to which experiment a table
        // or chart belongs.
        let mut page = format!(
            "<div class=\"measured\" data-experiment=\"{experiment}\" data-part=\"{name}\">\n\n{table}\n"
        );
        if let Some(data) = &part.chart {
            page += &format!(
                "<figure>\n{{{{#include {name}.svg}}}}\n<figcaption>{}</figcaption>\n</figure>\n\n",
                data.caption()
            );
            files.push((format!("{name}.svg"), draw::svg(data, name, None)));
        }
        let how = if part.once { "" } else { ", medians of several repeats" };
        page += &format!(
            "*Recorded with `{command}`{took}{how}, on {machine}. The same command measures yours.*\n\n</div>\n"
        );
        files.push((format!("{name}.md"), page));
    }
    files
}

/// Reads all recorded results. The keys are the names of the records' files, without `.json`.
pub(crate) fn records(paths: &Paths) -> Result<BTreeMap<String, Record>> {
    let mut records = BTreeMap::new();
    for path in files(&paths.recorded(), "json")? {
        let name = stem(&path);
        let record = Record::read(&paths.recorded(), name)?;
        records.extend(record.map(|record| (name.to_owned(), record)));
    }
    Ok(records)
}

/// Returns the names and contents of all files in book/src/generated/ that are drawn from
/// recorded results.
pub(crate) fn drawn(paths: &Paths) -> Result<BTreeMap<String, String>> {
    Ok(records(paths)?.values().flat_map(pages).collect())
}

/// Writes the files that pages include for the record `record`.
pub(super) fn write(paths: &Paths, record: &Record) -> Result<()> {
    pages(record)
        .iter()
        .try_for_each(|(name, text)| replace(&paths.generated().join(name), text))
}
