//! Tests that a plan that contradicts itself or the suite is refused, with a message that says what
//! to do about it.

use std::path::{Path, PathBuf};

use client_suite::case::Case;
use client_suite::cases;
use course::grade::plan::{Plan, Points};

const PART: &str = "[[part]]\nname = \"A\"\npoints = 10\ncases = [\"framing\"]\n";

fn parse(text: &str) -> Result<Plan, String> {
    Plan::parse(text, Path::new("PLAN.toml"), PathBuf::from("."), &cases::with_projects())
        .map_err(|error| error.to_string())
}

fn plan(head: &str, parts: &str) -> String {
    format!("title = \"Test\"\n{head}\n{parts}")
}

#[test]
fn a_wrong_plan_is_refused_with_what_to_do() {
    let b = |more: &str| format!("{PART}[[part]]\nname = \"B\"\npoints = 5\n{more}");
    let refused = [
        (plan("colour = 1", PART), "unknown field `colour`"),
        (plan("colour = 1", PART), "line 2"),
        (
            plan("points = 11", PART),
            "the parts have 10 points together, and the plan says 11",
        ),
        (plan("like = \"nginx\"", PART), "not one of iterative, fork"),
        (plan("level = 7", PART), "not one of 1, 2"),
        (plan("options = [\"speed\"]", PART), "not one of idle-timeout"),
        (plan("lacks = [\"file\"]", PART), "not one of plaintext, echo"),
        (plan("starter = \"main\"", PART), "either `program`"),
        (
            plan("starter = \"main\"\nprogram = \"small-thread\"", PART),
            "`files` is needed",
        ),
        (
            plan("starter = \"s\"\nprogram = \"p\"\nfiles = [\"../x\"]", PART),
            "without `..`",
        ),
        (
            plan("starter = \"s\"\nprogram = \"p\"\nfiles = [\"/etc/x\"]", PART),
            "without `..`",
        ),
        (plan("files = [\"src/\"]", PART), "need `starter`"),
        (plan("build = \"make\"", PART), "`build` needs `run`"),
        (plan("", "part = []"), "the plan has no part"),
        (plan("", &b("cases = [\"framin\"]")), "did you mean \"framing\"?"),
        (plan("", &b("cases = [\"chunks::xyzzy_plugh_*\"]")), "`client-suite list`"),
        (
            plan("", &b("cases = [\"framing::two_lengths\"]")),
            "in the parts \"A\" and \"B\"",
        ),
        (plan("", &b("cases = [\"chunks\", \"!chunks\"]")), "none of its cases applies"),
        (plan("", &b("cases = [\"chunks\"]\nneeds = [\"C\"]")), "no part before it"),
        (plan("", &b("cases = [\"chunks\"]\nneeds = [\"B\"]")), "no part before it"),
        (plan("", &b("cases = [\"chunks\"]\nrule = \"most\"")), "unknown variant `most`"),
        (plan("", &format!("{PART}{PART}")), "two parts are called \"A\""),
        (plan("", &PART.replace("10", "0")), "has no points"),
        (plan("", &PART.replace("10", "1.005")), "at most two decimals"),
        (plan("", &PART.replace("10", "-1")), "at most two decimals"),
        (
            plan("lacks = [\"files\"]", &PART.replace("framing", "ranges")),
            "which is in `lacks`",
        ),
    ];
    for (text, why) in refused {
        match parse(&text) {
            Ok(_) => panic!("this plan is accepted:\n{text}"),
            Err(error) => assert!(error.contains(why), "{why:?} is not in:\n{error}"),
        }
    }
}

#[test]
fn patterns_choose_cases_in_the_suites_order() {
    let parts =
        PART.replace("\"framing\"", "\"framing::two_*\", \"!*equal*\", \"chunks\"");
    let chosen = |text: &str| {
        let plan = parse(&plan("", text)).expect("a plan");
        plan.parts[0].chosen.iter().map(Case::full_name).collect::<Vec<_>>()
    };
    let names = chosen(&parts);
    assert!(names.contains(&"framing::two_lengths".to_owned()), "{names:?}");
    assert!(!names.contains(&"framing::two_equal_lengths".to_owned()), "{names:?}");
    let all = cases::all();
    let chunks = all.iter().filter(|case| case.family == "chunks").count();
    assert!(names.len() > chunks && names[0].starts_with("framing"), "{names:?}");
    // Each part of a plan has a list of patterns that choose the part's cases. The order of this
    // list does not matter.
    let turned =
        PART.replace("\"framing\"", "\"chunks\", \"!*equal*\", \"framing::two_*\"");
    assert_eq!(names, chosen(&turned));
    // The pattern `*` does not match the cases of projects, which go beyond the contract. A pattern
    // matches such cases only if it begins with `project_`.
    let is_project = |name: &String| name.starts_with("project_");
    assert!(!chosen(&PART.replace("framing", "*")).iter().any(is_project));
    assert!(chosen(&PART.replace("framing", "project_pool")).iter().all(is_project));
}

#[test]
fn points_are_shared_and_rounded() {
    let ten = Points(1000);
    let shares: Vec<_> = (0..=3).map(|passed| ten.share(passed, 3).to_string()).collect();
    assert_eq!(shares, ["0", "3.33", "6.67", "10"]);
    assert_eq!(ten.share(0, 0), Points(0));
    assert_eq!(Points(1250).to_string(), "12.5");
    assert_eq!(Points(1205).to_string(), "12.05");
}

#[test]
fn the_example_is_a_plan() -> anyhow::Result<()> {
    let made = tempfile::tempdir()?;
    let file = made.path().join("PLAN.toml");
    course::grade::new_plan(&file)?;
    let plan = Plan::load(&file, &cases::all())?;
    assert_eq!((plan.parts.len(), plan.total()), (3, Points(10_000)));
    assert!(course::grade::new_plan(&file).is_err(), "a plan is overwritten");
    Ok(())
}

#[test]
fn the_plans_that_are_ready_to_use_are_plans() -> anyhow::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut count = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let plan = Plan::load(&path, &cases::with_projects())?;
        assert!(plan.worst_seconds() <= 15 * 60, "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 9, "one for each chapter and each project");
    Ok(())
}
