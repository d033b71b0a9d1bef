//! A report: what a submission has earned in each part of a plan, and why.
//!
//! A report exists before the submission runs: it has a zero in every part, and grading replaces
//! the zeros. So even a grading that is cut short leaves a report with all parts.

use std::time::Duration;

use client_suite::judge::{Hangs, MOST_HANGS, Outcome};
use client_suite::report::{CaseReport, Counts};

use crate::grade::plan::{Part, Plan, Points, Rule};

/// The result of grading one submission.
#[derive(Debug)]
pub struct Report {
    /// The title of the assignment, from the plan.
    pub title: String,
    /// The name of the submission, such as the name of its directory.
    pub submission: String,
    /// The seed by which the suite has varied the files that it expects a server to serve, if one
    /// was given.
    pub seed: Option<u64>,
    /// The parts, in the plan's order.
    pub parts: Vec<PartReport>,
    /// Notes for the student about the whole submission, such as an error of the compiler.
    pub notes: Vec<String>,
    /// For the instructor: the attacks that were possible for the submission in spite of the
    /// sandbox.
    pub not_contained: Vec<String>,
    /// Whether the grading was finished. If it was cut short, parts that were not judged have
    /// zeros.
    pub complete: bool,
}

/// The result of one part.
#[derive(Debug)]
pub struct PartReport {
    /// The part as the plan defines it: its name, points, rule and cases.
    pub part: Part,
    /// The part's cases, with their outcomes.
    pub cases: Vec<CaseReport>,
}

/// The reason given for the zeros of cases that were not judged before the grading was cut short.
const NOT_RUN: &str = "the grading ended before it";

/// The reason given for the zeros of the cases in a part that come after three hanging cases.
pub const HANGS: &str = "three cases before it in this part have hung";

impl Report {
    /// Returns the report on a submission for which nothing has been judged: all parts have zero.
    pub fn zeros(plan: &Plan, submission: &str, seed: Option<u64>) -> Self {
        let parts = plan.parts.iter().map(|part| PartReport {
            part: part.clone(),
            cases: not_reached(part, NOT_RUN),
        });
        Self {
            title: plan.title.clone(),
            submission: submission.to_owned(),
            seed,
            parts: parts.collect(),
            notes: Vec::new(),
            not_contained: Vec::new(),
            complete: false,
        }
    }

    /// Returns the points that the submission has earned.
    pub fn earned(&self) -> Points {
        self.parts.iter().map(PartReport::earned).sum()
    }

    /// Returns the points that a perfect submission would have earned on this machine: those of all
    /// parts of which the machine could judge at least one case.
    pub fn possible(&self) -> Points {
        self.parts.iter().map(PartReport::possible).sum()
    }

    /// Returns the points of all parts of the plan together.
    pub fn total(&self) -> Points {
        self.parts.iter().map(|part| part.part.points).sum()
    }

    /// Returns the score out of the plan's points. It differs from the points earned if there is a
    /// part of which the machine could judge no case: the score is then the same share of the
    /// plan's points as the points earned are of the possible ones.
    pub fn scaled(&self) -> Points {
        let (earned, possible) = (self.earned(), self.possible());
        if possible == self.total() {
            return earned;
        }
        self.total().share(earned.0 as usize, possible.0 as usize)
    }

    /// Returns whether the grading was finished and the submission has all points that were
    /// possible on this machine. Returns `false` if none were possible.
    pub fn is_perfect(&self) -> bool {
        self.complete && self.earned() == self.possible() && self.possible() > Points(0)
    }

    /// Returns the name of the first part that `part` needs and in which the submission has no
    /// points although it could have earned some; `None` if there is no such part.
    pub fn unmet_need<'p>(&self, part: &'p Part) -> Option<&'p str> {
        let zero = |name: &&String| {
            let needed = self.parts.iter().find(|other| other.part.name == **name);
            needed.is_some_and(|other| {
                other.earned() == Points(0) && other.possible() > Points(0)
            })
        };
        part.needs.iter().find(zero).map(String::as_str)
    }
}

impl PartReport {
    /// Returns the number of cases with each outcome.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.cases)
    }

    /// Returns the number of cases that count: all except those that this machine could not try.
    pub fn judged(&self) -> usize {
        self.cases.len() - self.counts().skipped
    }

    /// Returns the points that the part has earned.
    pub fn earned(&self) -> Points {
        let (kept, judged) = (self.counts().kept, self.judged());
        match self.part.rule {
            Rule::All if kept < judged => Points(0),
            _ => self.part.points.share(kept, judged),
        }
    }

    /// Returns the points that the part could have earned: none if the machine could judge none of
    /// its cases.
    pub fn possible(&self) -> Points {
        if self.judged() == 0 { Points(0) } else { self.part.points }
    }

    /// Marks all cases after the first [`MOST_HANGS`] hanging cases as not reached, except skipped
    /// ones, even if they have been judged. So the score does not depend on how many cases are
    /// judged at the same time.
    pub fn end_after_hangs(&mut self) {
        let mut hangs = 0;
        for entry in &mut self.cases {
            if hangs >= MOST_HANGS && !matches!(entry.outcome, Outcome::Skipped(_)) {
                entry.outcome = Outcome::NotReached(HANGS.to_owned());
            }
            hangs += usize::from(Hangs::is_hang(&entry.outcome, entry.time));
        }
    }
}

/// Returns results for the cases of a part which say that none was reached, for the reason `why`.
pub fn not_reached(part: &Part, why: &str) -> Vec<CaseReport> {
    let cases = part.chosen.iter();
    let entry = |case: &client_suite::case::Case| CaseReport {
        case: *case,
        outcome: Outcome::NotReached(why.to_owned()),
        time: Duration::ZERO,
    };
    cases.map(entry).collect()
}
