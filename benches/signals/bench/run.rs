//! Starts the contenders, round after round.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;

use super::contenders::is_on_ring;
use super::plan::who::LEFT_OUT;
use super::plan::{self, Amount, Group};
use super::{Asked, CHILD, bars, counts, others, raw, record, report};
use crate::common::reading::{Reading, median};
use crate::common::sys;

/// What the rounds of a group have shown.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) group: Group,
    readings: HashMap<String, Vec<Reading>>,
}

impl Result {
    pub(crate) fn median(&self, contender: &str, key: &str) -> Option<f64> {
        let readings = self.readings.get(contender)?.iter();
        let values = readings.map(|one| one.get(key)).collect::<Option<_>>();
        values.filter(|values: &Vec<_>| !values.is_empty()).map(median)
    }

    /// The median of the ratios of the rounds.
    pub(crate) fn ratio(&self, one: &str, other: &str) -> Option<f64> {
        self.ratio_of(self.group.key, one, other)
    }

    /// The same of another number.
    pub(crate) fn ratio_of(
        &self,
        key: &str,
        one: &str,
        other: &str,
    ) -> Option<f64> {
        let (ones, others) =
            (self.readings.get(one)?, self.readings.get(other)?);
        let pairs = ones.iter().zip(others);
        let ratios = pairs.map(|(a, b)| Some(a.get(key)? / b.get(key)?));
        let ratios = ratios.collect::<Option<Vec<_>>>()?;
        (!ratios.is_empty()).then(|| median(ratios))
    }

    /// The raw path that has the best median.
    pub(crate) fn best_raw(&self) -> Option<&str> {
        let raw =
            self.group.contenders.iter().filter(|n| n.starts_with("raw/"));
        let key = self.group.key;
        let cost = |name: &&String| {
            let median = self.median(name, key).unwrap_or(f64::INFINITY);
            if key == "events" { -median } else { median }
        };
        raw.min_by(|a, b| cost(a).total_cmp(&cost(b))).map(String::as_str)
    }
}

/// Runs one contender once; an error is what it has said.
pub(crate) fn start(
    contender: &str,
    work: &str,
    total: u64,
) -> std::result::Result<Reading, String> {
    let mut command = others::program(contender)?;
    command.args([CHILD, contender, work]).arg(total.to_string());
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    match Reading::parse(said.trim()) {
        Some(reading) if output.status.success() => Ok(reading),
        _ => Err(format!(
            "{contender} {work} {total}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn measure(group: Group) -> std::result::Result<Result, String> {
    let begin = sys::now();
    let mut readings = HashMap::<String, Vec<Reading>>::new();
    for _ in 0..group.rounds {
        for contender in &group.contenders {
            let reading = start(contender, &group.work, group.total)?;
            readings.entry(contender.clone()).or_default().push(reading);
        }
        print!(".");
        io::stdout().flush().map_err(|error| error.to_string())?;
    }
    if let Some(depth) = group.work.strip_prefix("drain:") {
        let depth = depth.parse().map_err(|_| "a depth is a number")?;
        let counted = |(name, _): &(&String, _)| others::is_own(name);
        for (contender, readings) in readings.iter_mut().filter(counted) {
            if let Some(calls) = counts::calls(contender, depth)? {
                let with = |it: Reading| it.and("calls", calls);
                *readings = readings.drain(..).map(with).collect();
            }
        }
    }
    println!(" {}", seconds_since(begin));
    Ok(Result { group, readings })
}

fn seconds_since(begin: u64) -> String {
    let tenths = (sys::now() - begin) / 100_000_000;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

pub(crate) fn main(asked: &Asked) -> ExitCode {
    match all(asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The groups that peers are in, with those that are there.
fn among_peers(mut groups: Vec<Group>) -> Vec<Group> {
    let peers = if groups.is_empty() { Vec::new() } else { others::peers() };
    if peers.is_empty() {
        return Vec::new();
    }
    for group in &mut groups {
        let is_there = |name: &str| peers.contains(&name);
        let contenders = &mut group.contenders;
        contenders.retain(|it| !it.starts_with("peer/") || is_there(it));
        for (_, why) in LEFT_OUT.iter().filter(|(work, _)| *work == group.work)
        {
            println!("skipped: {}: {why}", group.work);
        }
    }
    groups
}

/// The groups that are asked for and can be measured here. Says what is skipped.
fn groups(asked: &Asked) -> Vec<Group> {
    let amount = Amount::of(asked);
    let chosen = |groups: Vec<Group>| {
        let groups = groups.into_iter().filter(|group| asked.wants(group));
        groups.collect::<Vec<_>>()
    };
    let mut groups = chosen(plan::raw(amount));
    groups.extend(among_peers(chosen(plan::peers(amount))));
    if !chosen(plan::python(amount, &[])).is_empty() {
        let anyio = others::anyio();
        if !anyio.is_empty() {
            groups.extend(plan::python(amount, &anyio));
        }
    }
    let cpus = sys::cpus().len();
    groups.retain(|group| {
        if group.cpus > cpus {
            println!("skipped: {}: it takes two CPUs", group.title);
        }
        group.cpus <= cpus
    });
    groups
}

/// Runs what is asked for; says whether no bar was missed that has to hold.
fn all(asked: &Asked) -> std::result::Result<bool, String> {
    let begin = sys::now();
    let machine = report::machine();
    for line in &machine {
        println!("{line}");
    }
    let mut groups = groups(asked);
    let reason = raw::why_no_rings();
    if let Some(reason) = &reason {
        println!("skipped: io_uring: {reason}");
        for group in &mut groups {
            group.contenders.retain(|name| !is_on_ring(name));
        }
    } else if let Some(reason) = raw::why_no_min_wait() {
        println!("skipped: min-wait: {reason}");
        for group in &mut groups {
            group.contenders.retain(|name| !name.ends_with("-min-wait"));
        }
    }
    if !groups.is_empty() {
        println!("\n{}", report::LEGEND.join("\n"));
    }
    let mut results = Vec::new();
    for group in groups {
        println!("\n{}", group.title);
        let result = measure(group)?;
        report::table(&result);
        results.push(result);
    }
    let counted = if asked.wants_counts() {
        println!("\ncounted");
        counts::all(reason.is_none(), asked.quick)
    } else {
        Ok(Vec::new())
    };
    // What was measured is not lost with that.
    let (counted, mut failure) = match counted {
        Ok(counted) => (counted, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let values = bars::values(&results, &counted);
    let mut last = bars::missed(&values, asked.wants_all());
    last.push(format!("all of it took {}", seconds_since(begin)));
    last.push(String::new());
    last.extend(bars::lines(&values));
    println!();
    if asked.keeps_record() {
        let is_whole = asked.wants_all();
        let written = record::write(is_whole, &machine, &results, &last);
        // The last lines come all the same.
        if let Err(error) = written {
            failure.get_or_insert(error.to_string());
        }
    }
    for line in &last {
        println!("{line}");
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(!asked.gate || bars::hold(&counted)),
    }
}
