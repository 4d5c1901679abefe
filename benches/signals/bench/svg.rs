//! A picture of a run: bars, which any browser shows.

use std::fmt::Write as _;

use super::run::Result;

const WIDTH: f64 = 900.0;
/// Where the bars begin, and how long the longest is.
const LEFT: f64 = 240.0;
const LONGEST: f64 = 460.0;
const ROW: f64 = 20.0;

/// Draws each group; the crate's bars have a colour of their own.
pub(crate) fn draw(machine: &[String], results: &[Result]) -> String {
    let mut body = String::new();
    let mut y = ROW;
    for line in machine {
        y += ROW;
        text(&mut body, ROW, y, "note", line);
    }
    for result in results {
        y += 2.0 * ROW;
        text(&mut body, ROW, y, "title", &result.group.title);
        y = group(&mut body, y, result);
    }
    let height = y + 2.0 * ROW;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>.title {{ font-weight: bold }} .note {{ fill: #666 }} \
         .raw {{ fill: #999 }} .crate {{ fill: #2a6fb0 }} \
         .other {{ fill: #c98a2b }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// Draws the bars of a group below `y`, and returns where they end.
fn group(body: &mut String, mut y: f64, result: &Result) -> f64 {
    let key = result.group.key;
    let median = |name: &String| result.median(name, key);
    let most = result.group.contenders.iter().filter_map(median);
    let most = most.fold(f64::MIN_POSITIVE, f64::max);
    for name in &result.group.contenders {
        let Some(value) = median(name) else { continue };
        y += ROW;
        let (length, top) = (LONGEST * value / most, y - 0.7 * ROW);
        let kind = match name.split_once('/') {
            Some(("raw", _)) => "raw",
            Some(("crate", _)) => "crate",
            _ => "other",
        };
        text(body, ROW, y, "name", name);
        let _infallible = writeln!(
            body,
            "<rect class=\"{kind}\" x=\"{LEFT}\" y=\"{top:.0}\" \
             width=\"{length:.1}\" height=\"14\"/>"
        );
        let label = format!("{value:.1} {}", result.group.unit);
        text(body, LEFT + length + 6.0, y, "value", &label);
    }
    y
}

fn text(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _infallible = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x:.0}\" y=\"{y:.0}\">{text}</text>"
    );
}
