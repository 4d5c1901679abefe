//! A run, kept in `benches/record/`: as text, as values separated by commas, and as a
//! picture.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use super::report::{self, LEGEND};
use super::run::Result;
use super::svg;

/// Writes all there is of a run.
pub(crate) fn write(
    is_whole: bool,
    machine: &[String],
    results: &[Result],
    lines: &[String],
) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/record");
    fs::create_dir_all(&folder)?;
    let part = if is_whole { "" } else { "-part" };
    let name = format!("{}-{}{part}", report::date(), report::kernel());
    let save = |kind: &str, text: &str| {
        let path = folder.join(format!("{name}.{kind}"));
        println!("written: {}", path.display());
        fs::write(path, text)
    };
    save("txt", &text(machine, results, lines))?;
    save("csv", &csv(machine, results, lines))?;
    save("svg", &svg::draw(machine, results))
}

/// What the terminal showed.
fn text(machine: &[String], results: &[Result], lines: &[String]) -> String {
    let mut rows = [machine, &[String::new()]].concat();
    rows.extend(LEGEND.iter().map(ToString::to_string));
    for result in results {
        rows.extend([String::new(), result.group.title.clone()]);
        rows.extend(report::table_of(result));
    }
    rows.push(String::new());
    rows.extend_from_slice(lines);
    rows.join("\n") + "\n"
}

/// One row for each contender, and one for each of the last lines. What was measured
/// where is in front, behind `#`.
fn csv(machine: &[String], results: &[Result], lines: &[String]) -> String {
    let mut text = String::new();
    for row in machine.iter().map(String::as_str).chain(LEGEND.iter().copied())
    {
        let _infallible = writeln!(text, "# {row}");
    }
    text.push_str(
        "module,group,contender,median,unit,ratio_to_raw,cpu,takes,calls\n",
    );
    for result in results {
        let (group, best) = (&result.group, result.best_raw());
        for name in &group.contenders {
            let Some(median) = result.median(name, group.key) else { continue };
            let ratio = best.and_then(|best| result.ratio(name, best));
            let _infallible = writeln!(
                text,
                "{},{},{name},{median:.3},{},{},{},{},{}",
                group.module,
                group.work,
                group.unit,
                number(ratio),
                number(result.median(name, "cpu")),
                number(result.median(name, "takes")),
                number(result.median(name, "calls")),
            );
        }
    }
    let values = lines.iter().filter(|line| !line.contains(' '));
    for (key, value) in values.filter_map(|line| line.split_once('=')) {
        let _infallible = writeln!(text, "bars,,{key},{value},,,,,");
    }
    text
}

/// A number, or nothing.
fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.4}"))
}
